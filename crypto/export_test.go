package crypto

import (
	"bytes"
	"slices"
)

// What the golden vectors and the fuzzers need to see.

func (k *Keyring) Subkey(label string, e Epoch, s Suite) [32]byte {
	return subkey(k.repo, k.masters[e-1], label, e, s)
}

func (s Secret) KeysFor(salt [32]byte, p KDFParams) (commitment, seal [32]byte, err error) {
	k, err := s.keysFor(salt, p)
	return k.commitment, k.seal, err
}

func (s Secret) KeyFileText() []byte { return formatKeyFile([32]byte([]byte(s.bytes))) }

func (c RecoveryCode) Pack() []byte { return c.pack() }

// Reauthenticate puts the code under the keyring's epoch on a slot, as a thief of that epoch's
// key could.
func (k *Keyring) Reauthenticate(s *Slot) {
	s.Auth = s.authCode(k.repo, k.masters[s.Grant.Epoch-1])
}

// ReauthenticateRecord does the same for a record.
func (k *Keyring) ReauthenticateRecord(r *EpochRecord) {
	r.Auth = r.authCode(k.repo, k.masters[r.Epoch-1])
}

// ForgeRecord makes a record of epoch e with a master key and predecessors of the forger's own.
func ForgeRecord(repo RepositoryID, e Epoch, slots ...*Slot) *EpochRecord {
	masters := make([]master, e-1)
	var m master
	m[0] = 0xEE
	r := &EpochRecord{Epoch: e}
	for _, s := range slots {
		sealed, err := sealMaster(s.PublicKey[:], repo, s.ID, e, m)
		if err != nil {
			panic(err)
		}
		r.Grants = append(r.Grants, EpochGrant{s.ID, s.hash(), sealed})
	}
	slices.SortFunc(r.Grants, func(a, b EpochGrant) int { return bytes.Compare(a.Slot[:], b.Slot[:]) })
	r.sealPredecessors(repo, m, masters)
	r.Auth = r.authCode(repo, m)
	return r
}

// SlotFixedSize is the size of a slot without a label.
const SlotFixedSize = slotFixedSize
