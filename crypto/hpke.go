package crypto

import (
	"crypto/hpke"
	"encoding/binary"
	"fmt"
	"io"
)

// The HPKE suite of slots, stored as slotSuite. The KEM joins ML-KEM-768 and X25519 (X-Wing):
// an archive copied today must stay closed for decades, also to whoever will own a quantum computer.
const (
	slotSuite = 1 // MLKEM768-X25519, HKDF-SHA-256, AES-256-GCM

	publicKeySize     = 1184 + 32 // ML-KEM-768 encapsulation key, X25519 point
	privateSeedSize   = 32        // both private keys are expanded from it
	encapsulatedSize  = 1088 + 32 // ML-KEM-768 ciphertext, X25519 point
	sealedPrivateSize = privateSeedSize + TagSize
	sealedMasterSize  = encapsulatedSize + keySize + TagSize
)

// newPrivateKey draws a slot's key pair.
func newPrivateKey(rand io.Reader) (hpke.PrivateKey, error) {
	var seed [privateSeedSize]byte
	if _, err := io.ReadFull(rand, seed[:]); err != nil {
		return nil, fmt.Errorf("drawing a private key: %w", err)
	}
	priv, err := hpke.MLKEM768X25519().NewPrivateKey(seed[:])
	if err != nil {
		return nil, fmt.Errorf("making a key pair: %w", err)
	}
	return priv, nil
}

// sealMaster seals a master key to a slot's public key. The randomness of the encapsulation is
// the system's: Go's HPKE takes no other.
func sealMaster(public []byte, repo RepositoryID, slot SlotID, e Epoch, m master) ([sealedMasterSize]byte, error) {
	var sealed [sealedMasterSize]byte
	pub, err := hpke.MLKEM768X25519().NewPublicKey(public)
	if err != nil {
		return sealed, fmt.Errorf("public key: %w", err)
	}
	b, err := hpke.Seal(pub, hpke.HKDFSHA256(), hpke.AES256GCM(), grantInfo(repo, slot, e), m[:])
	if err != nil {
		return sealed, fmt.Errorf("sealing: %w", err)
	}
	if copy(sealed[:], b) != len(b) || len(b) != len(sealed) {
		panic(fmt.Sprintf("crypto: an HPKE grant of %d bytes", len(b)))
	}
	return sealed, nil
}

// openMaster opens what sealMaster sealed.
func openMaster(priv hpke.PrivateKey, repo RepositoryID, slot SlotID, e Epoch, sealed [sealedMasterSize]byte) (master, error) {
	b, err := hpke.Open(priv, hpke.HKDFSHA256(), hpke.AES256GCM(), grantInfo(repo, slot, e), sealed[:])
	if err != nil {
		return master{}, err
	}
	return master(b), nil // the sealed length fixes this one
}

// grantInfo binds a grant to its place: "keepsake/1" ‖ 0 ‖ "grant" ‖ 0 ‖ repository ‖ slot ‖ epoch u32be.
func grantInfo(repo RepositoryID, slot SlotID, e Epoch) []byte {
	info := append([]byte(scheme+"\x00grant\x00"), repo[:]...)
	info = append(info, slot[:]...)
	return binary.BigEndian.AppendUint32(info, uint32(e))
}
