package crypto_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"keepsake/crypto"
)

// The values below are the format. Changing one of them means that existing repositories can
// no longer be read: if a test here fails, the code is wrong, not the vector.

// vectorRepository is 00 01 … 0f; the master keys are 10 11 … 2f and 30 31 … 4f.
func vectorKeyring(t testing.TB) *crypto.Keyring {
	t.Helper()
	k, err := crypto.NewKeyring(crypto.RepositoryID(count(0, 16)), bytes.NewReader(count(0x10, 32)))
	if err != nil {
		t.Fatal(err)
	}
	_, next, err := k.Rotate([]*crypto.Slot{keyFileSlot(t, k, "a").slot}, bytes.NewReader(count(0x30, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func count(from, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(from + i)
	}
	return b
}

func expect(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if h := hex.EncodeToString(got); h != want {
		t.Errorf("%s\n got %s\nwant %s", what, h, want)
	}
}

func TestVectorsOfSubkeys(t *testing.T) {
	k := vectorKeyring(t)
	for _, v := range []struct {
		label string
		epoch crypto.Epoch
		suite crypto.Suite
		want  string
	}{
		{"chunk id", 1, 0, "9e980c58460287c4f98c3246ae839bcf8ca95e69fa6582e6aa547abb197e5be8"},
		{"fingerprint", 1, 0, "f8715d5a35d100b3c89009d79e2fcbfe031749a8ec01d0cf2fb7320f4048ff93"},
		{"prf/directory pages", 1, 0, "2498dff5db7c4ce098347d66ebda765de5865012d7aa6157b137523696f6c974"},
		{"aead/object/snapshot", 1, 1, "eba5d499f79ff00b62af071c18476ffd366273d4fe48e632e9c6fc9ee6248aa0"},
		{"aead/object/snapshot", 2, 1, "7f09bb256ce5e06de2f5e91ac7cbc665eb19b017af03fa26653c552c3d51088a"},
		{"slot authentication", 1, 0, "88462996528c2db6c465f5103beba278f701a6d7dc96241ba7122856371c16bf"},
		{"slot authentication", 2, 0, "c89dcf9d0900f7a13d89bcb528d92ce96de1af48c38140b44a0a3e6bf2471096"},
		{"epoch authentication", 2, 0, "fc90ad2354eb8241fc96ed5444d2c22fefb97fd37c0e7df8c468360aae5dd1c6"},
		{"epoch predecessors", 2, 1, "fb0092e93a66c7a9c774871be1230003c08411477f5462c6cb8623372c7497d3"},
	} {
		got := k.Subkey(v.label, v.epoch, v.suite)
		expect(t, v.label, got[:], v.want)
	}
}

func TestVectorsOfKeyring(t *testing.T) {
	k := vectorKeyring(t)
	id := k.ChunkID(1, []byte("keepsake"))
	expect(t, "chunk id", id[:], "7a5e86a308ed1a2d86c04bdeb5ef7f2f21efe396014732384ddc34d5c0559813")
	id = k.ChunkID(2, nil)
	expect(t, "chunk id of nothing", id[:], "4f10181f86264da53e42c10c490f1dfa02d13d85373689e0aded29ae0050e4b4")
	fp := k.Fingerprint()
	expect(t, "fingerprint", fp[:], "f8715d5a35d100b3c89009d79e2fcbfe031749a8ec01d0cf2fb7320f4048ff93")

	prf := k.PRF("directory pages")
	sum := prf.Sum([]byte("DCIM"), []byte("IMG_0001.CR3"))
	expect(t, "PRF", sum[:], "68994c6ed7e4752641d4eee667385639d5a90960ece902abc7a3dfd0d746193d")
	if got := prf.Sum64([]byte("DCIM"), []byte("IMG_0001.CR3")); got != 0x68994c6ed7e47526 {
		t.Errorf("PRF: got %#x", got)
	}

	// AES-256-GCM under the object's key; the tag and two blocks pin the key.
	for e, want := range map[crypto.Epoch]string{
		1: "4ef8de733fcc0b8d5f37cbdb9f939f921fd77497bba3ada207516fa0f0ffa3bdb9fc7e261db7378cc7863e8063bcefc5",
		2: "29e765c7fe3d2df473a765d709c9a0d77d7dc77963b13d81d1403e9f1f573f461d88c53de77f4f4f987c17522a4fcd97",
	} {
		aead, err := k.AEAD(e, crypto.SuiteAES256GCM, "object/snapshot", count(0x80, 32))
		if err != nil {
			t.Fatal(err)
		}
		nonce := crypto.SegmentNonce(1, 2, true)
		expect(t, "sealed", aead.Seal(nil, nonce[:], make([]byte, 32), []byte("data")), want)
	}
}

func TestVectorsOfSegmentNonce(t *testing.T) {
	for _, v := range []struct {
		chunk, segment uint32
		last           bool
		want           string
	}{
		{0, 0, false, "000000000000000000000000"},
		{0, 0, true, "000000000000000000000001"},
		{0x01020304, 0x05060708, false, "010203040506070800000000"},
		{0xFFFFFFFF, 0, true, "ffffffff0000000000000001"},
	} {
		n := crypto.SegmentNonce(v.chunk, v.segment, v.last)
		expect(t, "nonce", n[:], v.want)
	}
}

func TestVectorsOfSecrets(t *testing.T) {
	code, err := crypto.ParseRecoveryCode(vectorCode)
	if err != nil {
		t.Fatal(err)
	}
	file, err := crypto.ParseKeyFile([]byte(vectorKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	salt := [32]byte(count(0x40, 32))
	for _, v := range []struct {
		name             string
		secret           crypto.Secret
		params           crypto.KDFParams
		commitment, seal string
	}{
		{"passphrase", crypto.Passphrase("correct horse"), crypto.KDFParams{Memory: 64 << 10, Time: 3, Threads: 4},
			"d11e111b5733747b8dcbbaabc56d25015bd7692dc3116d0fed9ee863ba26981f", "85f6b0979779bc3497cc035ed651b96190aea88e3b4a5282e8097f605a16bf24"},
		{"key file", file, crypto.KDFParams{},
			"3d4a56e8a5ba77acdaf38a75eaaa608fb765b8e4e95fbfe0958fb2a127aa89bb", "68fabebca67b73d264b49ea0644a22824f6d76bbafe3cac64c879d75af00f861"},
		{"recovery code", crypto.Recovery(code), crypto.KDFParams{},
			"df33a38f195c05c5b9976c19b3eb32f33fd17b23b4803012a271d9f7e3d4e7ee", "d30fe2daa110b6049f085f2c18011b1a1b2af0d589196f2b7cfecb6aa14e411b"},
	} {
		commitment, seal, err := v.secret.KeysFor(salt, v.params)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, v.name+": commitment", commitment[:], v.commitment)
		expect(t, v.name+": seal key", seal[:], v.seal)
	}
}

// The key of vectorKeyFile is 00 01 … 1f; the symbols of vectorCode are 0, 1, … 31, 0.
const (
	vectorKeyFile = "keepsake-key-1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f-9f464d37\n"
	vectorCode    = "012N-345S-678S-9AB9-CDEK-FGHE-JKMH-NPQW-RSTS-VWXN-YZ01"
)

func TestVectorsOfTexts(t *testing.T) {
	text, _, err := crypto.GenerateKeyFile(bytes.NewReader(count(0, 32)))
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != vectorKeyFile {
		t.Errorf("key file: got %q", text)
	}
	code, err := crypto.GenerateRecoveryCode(bytes.NewReader(count(0, 33)))
	if err != nil {
		t.Fatal(err)
	}
	if got := code.Printable(); got != vectorCode {
		t.Errorf("recovery code: got %s", got)
	}
	expect(t, "recovery code's bits", code.Pack(), "00443214c74254b635cf84653a56d7c675be77df00")
}
