/*
 * Load for a TLS gateway that asks for client certificates: each connection shows a certificate of its own, which common load
 * generators cannot. One thread, epoll, OpenSSL; no session is ever resumed. Built and run by gateway_load.ts.
 *
 *   load PORT AUTHORITY.pem CLIENTS.pem CONNECTIONS SECONDS requests|handshakes|idle PATH
 *
 * CLIENTS.pem: certificate and key by turns. `requests`: one request after the other on connections that stay open, counted
 * after a second of warming up. `handshakes`: connect, handshake, one request (with TLS 1.3 only an answer shows that the server
 * accepted the certificate), close, again; a certificate is used again only after all others. `idle`: opens all connections, one
 * request on each, prints a line, holds them. One JSON line on standard output.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CERTIFICATES 100000
#define HEAD_BYTES 8192
#define BUCKETS 2000000 /* microseconds */
#define AT_ONCE_WHILE_IDLE 64

enum state { CONNECTING, HANDSHAKE, WRITE, READ, RESTING, AWAY };

struct connection {
  int fd;
  SSL *ssl;
  enum state state;
  double since;
  long got, need;
  char head[HEAD_BYTES];
};

static SSL_CTX *context;
static X509 *certificates[MAX_CERTIFICATES];
static EVP_PKEY *keys[MAX_CERTIFICATES];
static int certificate_count, next_certificate;
static struct sockaddr_in target;
static int poller;
static char request[1024];
static int request_length;
static enum { REQUESTS, HANDSHAKES, IDLE, SLOW, FLOOD } mode;
/* Attackers come from these many addresses, 127.0.1.1 on. */
#define ATTACKERS 50
/* A slow client that was cut off comes again after so many seconds. */
#define AWAY_SECONDS 10
static uint32_t histogram[BUCKETS];
static uint64_t counted, errors, refused, resting;
static int counting;
/* Nothing is begun any more; connections that are left. */
static int ending, left;
/* Handshakes that have begun are ended, within this many seconds: honest clients do not give them up. */
#define ENDING_SECONDS 3

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  ERR_print_errors_fp(stderr);
  exit(1);
}

static void begin(struct connection *c) {
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (c->fd < 0) fail("socket");
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  c->since = now();
  if (mode == SLOW || mode == FLOOD) {
    static uint32_t turn;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000101 + turn++ % ATTACKERS)};
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0) fail("bind");
  }
  if (connect(c->fd, (struct sockaddr *)&target, sizeof target) < 0 && errno != EINPROGRESS) fail("connect");
  c->ssl = SSL_new(context);
  if (mode != FLOOD) { /* whose handshakes are without a certificate */
    int which = next_certificate++ % certificate_count;
    SSL_use_certificate(c->ssl, certificates[which]);
    SSL_use_PrivateKey(c->ssl, keys[which]);
  }
  SSL_set_fd(c->ssl, c->fd);
  SSL_set_tlsext_host_name(c->ssl, "localhost");
  c->state = CONNECTING;
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll_ctl");
}

static void end(struct connection *c, int clean) {
  if (clean) SSL_shutdown(c->ssl);
  SSL_free(c->ssl);
  close(c->fd);
}

static void again(struct connection *c, int failed) {
  if (failed && counting) errors++;
  end(c, !failed);
  if (ending) {
    c->state = AWAY;
    left--;
    return;
  }
  if (mode == SLOW) {
    c->state = AWAY;
    c->since = now() + AWAY_SECONDS;
    return;
  }
  begin(c);
}

/* 1 when the whole answer is there, -1 when it is none. */
static int whole(struct connection *c) {
  if (c->need == 0) {
    long kept = c->got < HEAD_BYTES - 1 ? c->got : HEAD_BYTES - 1;
    c->head[kept] = 0;
    char *blank = strstr(c->head, "\r\n\r\n");
    if (!blank) return kept == HEAD_BYTES - 1 ? -1 : 0;
    long length = 0;
    for (char *line = c->head; line < blank; line = strstr(line, "\r\n") + 2)
      if (!strncasecmp(line, "content-length:", 15)) length = atol(line + 15);
    c->need = blank + 4 - c->head + length;
    if (strncmp(c->head, "HTTP/1.1 200", 12) && counting) refused++;
  }
  return c->got >= c->need;
}

static void step(struct connection *c) {
  for (;;) {
    int result = 0;
    switch (c->state) {
      case AWAY:
        return;
      case CONNECTING:
        c->state = HANDSHAKE; /* fall through */
      case HANDSHAKE:
        result = SSL_connect(c->ssl);
        if (result == 1) {
          c->state = WRITE;
          if (mode == REQUESTS) c->since = now();
          continue;
        }
        break;
      case WRITE:
        result = SSL_write(c->ssl, request, request_length);
        if (result > 0) {
          c->state = mode == SLOW ? RESTING : READ;
          if (mode == SLOW) resting++;
          c->got = c->need = 0;
          continue;
        }
        break;
      case RESTING:
      case READ: {
        char more[16384];
        int keep = c->need == 0 && c->got < HEAD_BYTES - 1;
        result = keep ? SSL_read(c->ssl, c->head + c->got, HEAD_BYTES - 1 - c->got) : SSL_read(c->ssl, more, sizeof more);
        if (result > 0) {
          c->got += result;
          if (mode == SLOW) continue;
          int there = whole(c);
          if (there < 0) return again(c, 1);
          if (!there) continue;
          double at = now();
          if (counting) {
            long us = (long)((at - c->since) * 1e6);
            histogram[us < BUCKETS ? us : BUCKETS - 1]++;
            counted++;
          }
          if (mode == HANDSHAKES) return again(c, 0);
          if (mode == IDLE) {
            if (c->state != RESTING) resting++;
            c->state = RESTING;
            continue;
          }
          c->since = at;
          c->state = WRITE;
          continue;
        }
        break;
      }
    }
    int error = SSL_get_error(c->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
    ERR_clear_error();
    if (c->state == RESTING) resting--;
    return again(c, 1);
  }
}

static int away(const struct connection *all, int begun) {
  int count = 0;
  for (int i = 0; mode == SLOW && i < begun; i++) count += all[i].state == AWAY;
  return count;
}

static double percentile(double p) {
  uint64_t rank = (uint64_t)(counted * p), seen = 0;
  for (long i = 0; i < BUCKETS; i++)
    if ((seen += histogram[i]) > rank) return i / 1000.0;
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 8) {
    fprintf(stderr, "usage: load PORT AUTHORITY CLIENTS CONNECTIONS SECONDS requests|handshakes|idle|slow|flood PATH\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  target.sin_family = AF_INET;
  target.sin_port = htons(atoi(argv[1]));
  target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  if (SSL_CTX_load_verify_locations(context, argv[2], NULL) != 1) fail("authority");
  FILE *file = fopen(argv[3], "r");
  if (!file) fail("clients");
  X509 *certificate;
  while (certificate_count < MAX_CERTIFICATES && (certificate = PEM_read_X509(file, NULL, NULL, NULL))) {
    certificates[certificate_count] = certificate;
    keys[certificate_count] = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    if (!keys[certificate_count++]) fail("client key");
  }
  ERR_clear_error();
  fclose(file);
  if (certificate_count == 0) fail("no client certificates");
  int connections = atoi(argv[4]);
  double seconds = atof(argv[5]);
  mode = !strcmp(argv[6], "requests") ? REQUESTS : !strcmp(argv[6], "handshakes") ? HANDSHAKES
         : !strcmp(argv[6], "slow") ? SLOW : !strcmp(argv[6], "flood") ? FLOOD : IDLE;
  request_length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", argv[7],
                            mode == HANDSHAKES ? "Connection: close\r\n" : "");
  if (mode == SLOW) request_length -= 2; /* the head never ends */
  poller = epoll_create1(0);
  struct connection *all = calloc(connections, sizeof *all);
  int begun = (mode == IDLE || mode == SLOW) && connections > AT_ONCE_WHILE_IDLE ? AT_ONCE_WHILE_IDLE : connections;
  for (int i = 0; i < begun; i++) begin(&all[i]);
  double start = now(), from = start + 1;
  struct rusage usage;
  double cpu = 0;
  int told = 0;
  struct epoll_event events[256];
  for (;;) {
    double at = now();
    for (int i = 0; mode == SLOW && i < begun; i++)
      if (all[i].state == AWAY && all[i].since < at) begin(&all[i]);
    if (mode == IDLE || mode == SLOW) {
      while (begun < connections && begun < (long)resting + away(all, begun) + AT_ONCE_WHILE_IDLE) begin(&all[begun++]);
      if (!told && (mode == SLOW ? begun == connections : (long)resting >= connections)) {
        printf("{\"open\":%lu,\"seconds\":%.2f}\n", (unsigned long)resting, at - start);
        fflush(stdout);
        told = 1;
        from = at;
        counting = 1;
      }
      if (told && at >= from + seconds) break;
      if (!told && at > start + 120) fail("idle connections");
    } else {
      if (!counting && at >= from) {
        counting = 1;
        from = at;
        getrusage(RUSAGE_SELF, &usage);
        cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
        printf("{\"counting\":true}\n");
        fflush(stdout);
      }
      if (counting && at >= from + seconds) break;
    }
    int ready = epoll_wait(poller, events, 256, 100);
    for (int i = 0; i < ready; i++) step(events[i].data.ptr);
  }
  double took = now() - from;
  getrusage(RUSAGE_SELF, &usage);
  cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6 - cpu;
  if (mode == HANDSHAKES) {
    counting = 0;
    ending = 1;
    left = connections;
    for (double until = now() + ENDING_SECONDS; left > 0 && now() < until;) {
      int ready = epoll_wait(poller, events, 256, 100);
      for (int i = 0; i < ready; i++) step(events[i].data.ptr);
    }
  }
  printf("{\"count\":%lu,\"errors\":%lu,\"refused\":%lu,\"seconds\":%.3f,\"p50Ms\":%.3f,\"p99Ms\":%.3f,\"cpuSeconds\":%.3f,\"open\":%lu}\n",
         (unsigned long)counted, (unsigned long)errors, (unsigned long)refused, took, percentile(0.5), percentile(0.99), cpu,
         (unsigned long)resting);
  return 0;
}
