// Package crypto is keepsake's key hierarchy: master keys, the slots that open them, and the
// keys and ciphers derived from them. It is pure: no files, no clock, and randomness comes in
// as an io.Reader (except inside HPKE, which takes the system's).
//
// # Vocabulary
//
// An epoch is one master key, numbered from 1. A rotation adds an epoch; nothing is ever sealed
// under an old one again, but old ones stay readable, since the newest wraps its predecessors in
// its epoch record. A sub-key is derived from a master key by HKDF for one purpose. A [Keyring]
// holds all epochs of one repository.
//
// A slot lets one secret in: a passphrase (Argon2id), a key file or a recovery code (both random,
// so HKDF suffices). The secret opens the slot's private key; master keys are sealed to public
// keys (HPKE with ML-KEM-768 and X25519). So a rotation serves slots whose secrets are absent,
// and costs the same for all of them.
//
// # Invariants
//
//   - Objects name their epoch and suite. Keys are never tried out.
//   - Chunk ids, PRFs and the fingerprint come from epoch 1: they survive rotation.
//   - Every key seals under distinct nonces: those of slots and epochs seal once, those of objects
//     are derived from a random salt that is the object's own.
//   - A slot carries a commitment to its secret, compared first and in constant time: one
//     ciphertext cannot open under two passphrases, and a wrong secret is told from damage.
//   - Every byte of a slot and of an epoch record is authenticated. A slot is served by a
//     rotation only if a holder of the newest keys made it, or the newest record serves it.
//   - A Keyring is immutable. Rotate returns another.
//   - Parsing and marshalling are inverse: one sequence of bytes for each value.
//   - What holds a secret prints as "[secret]".
//
// # Refusals
//
// There is no plaintext mode and no choice of ciphers. Argon2id parameters outside the floor and
// the ceiling are refused before memory is taken; no option lowers the floor. More than [MaxSlots]
// slots are refused before any derivation. Unknown layouts, suites and kinds are refused, as are
// reserved bytes in use and anything not in canonical form.
//
// # Limits
//
// A revoked slot keeps what it could read. Whoever held the keys of an epoch and owns the storage
// can offer a forged successor to a client that has pinned nothing; pinning the fingerprint and
// the newest epoch seen is the state's work, as is noticing records that were withheld. Go cannot
// reliably erase keys from memory; processes that hold a Keyring should not dump core.
package crypto
