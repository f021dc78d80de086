package crypto

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
)

// keySize is the length of every symmetric key here.
const keySize = 32

// scheme opens every derivation and every bound string. It changes only with the format.
const scheme = "keepsake/1"

// suiteNone stands in the derivation of keys that no cipher uses: identifiers, PRFs, MACs.
const suiteNone Suite = 0

// The labels of sub-keys. AEAD purposes and PRF labels are appended to a prefix that ends in
// a slash, so that no caller's string can name one of the others.
const (
	labelChunkID     = "chunk id"
	labelFingerprint = "fingerprint"
	labelSlotAuth    = "slot authentication"
	labelEpochAuth   = "epoch authentication"
	labelWrap        = "epoch predecessors"
	labelAEAD        = "aead/"
	labelPRF         = "prf/"
)

type master [keySize]byte

// Keyring holds the master keys of all epochs of one repository. It is immutable and safe for
// concurrent use; a rotation makes a new one. It prints as "[secret]".
type Keyring struct {
	repo    RepositoryID
	masters []master // masters[e-1] is the key of epoch e; never empty
	// served maps the slots that the newest epoch's record grants to the hash of their bytes.
	// It is empty in epoch 1, which has no record.
	served map[SlotID][sha256.Size]byte
	ids    *macPool // identifies chunks
}

// NewKeyring draws the master key of epoch 1 of a new repository.
func NewKeyring(repo RepositoryID, rand io.Reader) (*Keyring, error) {
	var m master
	if _, err := io.ReadFull(rand, m[:]); err != nil {
		return nil, fmt.Errorf("drawing a master key: %w", err)
	}
	return newKeyring(repo, []master{m}, nil), nil
}

func newKeyring(repo RepositoryID, masters []master, served map[SlotID][sha256.Size]byte) *Keyring {
	k := &Keyring{repo: repo, masters: masters, served: served}
	k.ids = newMACPool(subkey(repo, masters[0], labelChunkID, 1, suiteNone))
	return k
}

// Repository returns the repository the keys belong to.
func (k *Keyring) Repository() RepositoryID { return k.repo }

// Newest returns the epoch under which new objects are sealed.
func (k *Keyring) Newest() Epoch { return Epoch(len(k.masters)) }

// Epochs returns all epochs in ascending order, in a slice of the caller's own.
func (k *Keyring) Epochs() []Epoch {
	all := make([]Epoch, len(k.masters))
	for i := range all {
		all[i] = Epoch(i + 1)
	}
	return all
}

// Fingerprint identifies the first master key without giving anything about it away. It
// survives rotation. A client that pins it notices when storage serves another repository's
// keys under the same name.
func (k *Keyring) Fingerprint() [32]byte {
	return subkey(k.repo, k.masters[0], labelFingerprint, 1, suiteNone)
}

// ChunkID returns HMAC-SHA-256(id key, typ ‖ plain). The id key belongs to epoch 1, so that a
// rotation does not store everything again. It allocates nothing and is safe for concurrent use.
func (k *Keyring) ChunkID(typ byte, plain []byte) ChunkID {
	m := k.ids.get()
	m.buf[0] = typ
	m.hash.Write(m.buf[:1])
	m.hash.Write(plain)
	id := ChunkID(m.sum())
	k.ids.put(m)
	return id
}

// master returns the key of epoch e.
func (k *Keyring) master(e Epoch) (master, error) {
	if e < 1 || e > k.Newest() {
		return master{}, fmt.Errorf("%w %d (the newest is %d)", ErrUnknownEpoch, e, k.Newest())
	}
	return k.masters[e-1], nil
}

// subkey derives HKDF-SHA-256(secret = master, salt = repository id,
// info = "keepsake/1" ‖ 0 ‖ label ‖ 0 ‖ epoch u32be ‖ suite). Everything around the label has
// a fixed length, so distinct (label, epoch, suite) give distinct infos whatever the label holds.
func subkey(repo RepositoryID, m master, label string, e Epoch, s Suite) [keySize]byte {
	info := make([]byte, 0, len(scheme)+len(label)+7)
	info = append(info, scheme...)
	info = append(info, 0)
	info = append(info, label...)
	info = append(info, 0)
	info = binary.BigEndian.AppendUint32(info, uint32(e))
	info = append(info, byte(s))
	return derive(m[:], repo[:], string(info))
}

// derive is HKDF-SHA-256 with 32 bytes of output.
func derive(secret, salt []byte, info string) [keySize]byte {
	key, err := hkdf.Key(sha256.New, secret, salt, info, keySize)
	if err != nil {
		// Only an absurd output length or a forbidden hash is refused; both are constants.
		panic("crypto: hkdf: " + err.Error())
	}
	return [keySize]byte(key)
}
