import assert from "node:assert/strict";
import { fieldName } from "./field_names.ts";

/** As proxies and frameworks tell each other of clients, addresses, certificates, hosts and paths. */
const FOREIGN =
  `cdn-loop cf-connecting-ip cf-connecting-ipv6 cf-ipcountry client-ip fly-client-ip forwarded-for front-end-https
  http2-settings remote-user wl-proxy-client-ip x-amzn-mtls-clientcert x-amzn-mtls-clientcert-leaf x-appengine-user-ip x-arr-ssl
  x-azure-clientip x-backend-host x-client-dn x-envoy-internal x-envoy-original-path x-forward-for x-forwarded x-forwarded-for
  x-gfe-ssl-client-cert x-host x-http-path-override x-middleware-subrequest x-original-host x-originating-ip x-override-url
  x-proxyuser-ip x-remote-addr x-remote-ip x-remote-user x-url-scheme x-verified-client-cert x-real-ip true-client-ip x_real_ip
  ssl-client-s-dn x-ssl-cert x-tls-client x-rewrite-url x-http-method-override`.replace(/\s+/g, " ");
/** Of clients that have nothing to do with proxies. */
const HONEST =
  `accept accept-language authorization cache-control content-type cookie dnt if-none-match origin pragma prefer range referer
  sec-fetch-mode user-agent x-api-key x-client-version x-client-id x-correlation-id x-requested-with x-host-name x-realm
  x-originator transfer-id x-tlsa sslx client-identifier idempotency-key signature content-digest x-pathway remote-control`
    .replace(/\s+/g, " ");

Deno.test("fieldName() says the same of a name however often it was asked, and whatever else was asked meanwhile", () => {
  const known = [
    "Host",
    "host",
    "Client-Cert",
    "client_cert",
    "X_Forwarded.For",
    "Content-Type",
    "A",
    "a b",
    "",
    "Ä",
  ];
  const first = known.map((name) => ({ ...fieldName(name) }));
  for (let i = 0; i < 5_000; i++) fieldName(`x-${i}`);
  assert.deepEqual(known.map((name) => ({ ...fieldName(name) })), first);
  assert.deepEqual(first.map(({ name }) => name), known.map((name) => name.toLowerCase()));
});

Deno.test("fieldName() knows what only a gateway may say, in any spelling, and what is taken for it", () => {
  const of = (spelling: string) => {
    const { kind, isProtected, isLookalike, isSingle, isToken } = fieldName(spelling);
    return [kind, isProtected, isLookalike, isSingle, isToken];
  };
  assert.deepEqual(of("CLIENT-CERT"), ["gateway", true, false, false, true]);
  assert.deepEqual(of("client_cert"), ["gateway", false, true, false, true]);
  assert.deepEqual(of("Transfer.Encoding"), ["hop", false, true, false, true]);
  assert.deepEqual(of("content-type"), [undefined, true, false, true, true]);
  assert.deepEqual(of("x-forwarded-anything"), ["gateway", false, false, false, true]);
  assert.deepEqual(of(`x-${"long-".repeat(100)}`), [undefined, false, false, false, true]);
  for (const name of FOREIGN.split(" ")) assert.notEqual(fieldName(name).kind, undefined, name);
  for (const name of HONEST.split(" ")) assert.equal(fieldName(name).kind, undefined, name);
  assert.deepEqual(of("a b"), [undefined, false, false, false, false]);
});
