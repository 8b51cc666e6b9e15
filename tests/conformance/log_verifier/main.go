// A verifier of our logs that is not ours: golang.org/x/mod/sumdb/note and tlog, the libraries of the Go checksum database.
//
//	main.go DIRECTORY VKEY WITNESS_VKEY [PROOF]
//
// It opens the checkpoint, checks every tile against its root through tlog.TileHashReader, hashes every entry of the bundles,
// proves consistency from every tenth size, and verifies a C2SP tlog-proof. It prints one JSON object.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func must(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

// cosigner verifies C2SP tlog-cosignature v1, which the note package leaves to its callers.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return c.hash }
func (c cosigner) Verify(text, sig []byte) bool {
	if len(sig) != 72 {
		return false
	}
	time := binary.BigEndian.Uint64(sig)
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", time, text)
	return ed25519.Verify(c.key, []byte(message), sig[8:])
}

func newCosigner(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("malformed")
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 33 || key[0] != 4 {
		return nil, fmt.Errorf("not an Ed25519 cosigner")
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	hash := binary.BigEndian.Uint32(sum[:4])
	if fmt.Sprintf("%08x", hash) != parts[1] {
		return nil, fmt.Errorf("key ID")
	}
	return cosigner{parts[0], hash, key[1:]}, nil
}

// tiles reads C2SP paths: those of the Go checksum database without the height.
type tiles struct{ directory string }

func (t tiles) Height() int { return height }
func (t tiles) path(tile tlog.Tile) string {
	return filepath.Join(t.directory, strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
}
func (t tiles) ReadTiles(list []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range list {
		b, err := os.ReadFile(t.path(tile))
		if err != nil {
			return nil, err
		}
		data = append(data, b)
	}
	return data, nil
}
func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func entries(directory string, size int64) [][]byte {
	var all [][]byte
	for n := int64(0); n*256 < size; n++ {
		tile := tlog.Tile{H: height, L: 0, N: n, W: 256}
		if size < (n+1)*256 {
			tile.W = int(size - n*256)
		}
		path := strings.Replace(tiles{directory}.path(tile), "/tile/0/", "/tile/entries/", 1)
		b, err := os.ReadFile(path)
		must(err, "bundle")
		for len(b) > 0 {
			length := int(binary.BigEndian.Uint16(b))
			all = append(all, b[2:2+length])
			b = b[2+length:]
		}
	}
	return all
}

func verifyProof(path string, verifiers note.Verifiers) int64 {
	b, err := os.ReadFile(path)
	must(err, "proof")
	parts := bytes.SplitN(b, []byte("\n\n"), 2)
	lines := strings.Split(string(parts[0]), "\n")
	if lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "extra ") {
		must(fmt.Errorf("header"), "proof")
	}
	entry, err := base64.StdEncoding.DecodeString(lines[1][len("extra "):])
	must(err, "extra")
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	must(err, "index")
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		must(err, "hash")
		proof = append(proof, hash)
	}
	opened, err := note.Open(parts[1], verifiers)
	must(err, "checkpoint of the proof")
	size, root := checkpoint(opened.Text)
	must(tlog.CheckRecord(proof, size, root, index, tlog.RecordHash(entry)), "inclusion")
	return index
}

func checkpoint(text string) (int64, tlog.Hash) {
	lines := strings.Split(text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err, "size")
	root, err := tlog.ParseHash(lines[2])
	must(err, "root")
	return size, root
}

func main() {
	directory := os.Args[1]
	log, err := note.NewVerifier(os.Args[2])
	must(err, "vkey")
	witness, err := newCosigner(os.Args[3])
	must(err, "witness vkey")
	verifiers := note.VerifierList(log, witness)

	message, err := os.ReadFile(filepath.Join(directory, "checkpoint"))
	must(err, "checkpoint")
	opened, err := note.Open(message, verifiers)
	must(err, "checkpoint")
	size, root := checkpoint(opened.Text)

	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, tiles{directory})
	all := entries(directory, size)
	if int64(len(all)) != size {
		must(fmt.Errorf("%d, not %d", len(all), size), "entries")
	}
	var indexes []int64
	for i := int64(0); i < size; i++ {
		indexes = append(indexes, tlog.StoredHashIndex(0, i))
	}
	hashes, err := reader.ReadHashes(indexes)
	must(err, "tiles")
	for i, hash := range hashes {
		if hash != tlog.RecordHash(all[i]) {
			must(fmt.Errorf("entry %d", i), "entry hash")
		}
	}
	consistent := 0
	for first := int64(1); first <= size; first += 10 {
		before, err := tlog.TreeHash(first, reader)
		must(err, "tree hash")
		proof, err := tlog.ProveTree(size, first, reader)
		must(err, "consistency proof")
		must(tlog.CheckTree(proof, size, root, first, before), "consistency")
		consistent++
	}
	result := map[string]interface{}{
		"size": size, "signatures": len(opened.Sigs), "entries": len(all), "consistent": consistent,
	}
	if len(os.Args) > 4 {
		result["proved"] = verifyProof(os.Args[4], verifiers)
	}
	must(json.NewEncoder(os.Stdout).Encode(result), "result")
}
