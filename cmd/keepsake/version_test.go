package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
)

// A file of the storm is a sequence of records, each of which says which version
// of the file it made and proves itself and all records before it. So whatever
// bytes somebody hands out, it can be told from them alone whether a writer ever
// meant the file to be like that:
//
//	magic    8 bytes
//	version  8 bytes
//	length   4 bytes, of the filler
//	filler
//	SHA-256  of the sum before it (32 zeros at first) and of all of the record above
const (
	recordMagic = "keep\x00now"
	recordHead  = len(recordMagic) + 8 + 4
	recordSize  = recordHead + sha256.Size // without filler
)

// record makes one that follows on what before ends with; nil begins a file.
func record(before []byte, version uint64, filler int) []byte {
	b := make([]byte, 0, recordSize+filler)
	b = append(b, recordMagic...)
	b = binary.BigEndian.AppendUint64(b, version)
	b = binary.BigEndian.AppendUint32(b, uint32(filler))
	b = b[:len(b)+filler]
	seed := [32]byte{}
	binary.BigEndian.PutUint64(seed[:], version)
	_, _ = rand.NewChaCha8(seed).Read(b[recordHead:]) // never fails
	sum := chained(before, b)
	return append(b, sum[:]...)
}

func chained(before, b []byte) [sha256.Size]byte {
	h := sha256.New()
	var previous [sha256.Size]byte
	if len(before) > 0 {
		copy(previous[:], before[len(before)-sha256.Size:])
	}
	h.Write(previous[:])
	h.Write(b)
	return [sha256.Size]byte(h.Sum(nil))
}

// whole says what is wrong with the bytes of a file, nil if they are a version
// of it.
func whole(b []byte) error {
	if len(b) == 0 {
		return errors.New("it is empty")
	}
	for at := 0; at < len(b); {
		rest := b[at:]
		if len(rest) < recordSize {
			return errors.New("its last record is cut off")
		}
		if !bytes.HasPrefix(rest, []byte(recordMagic)) {
			return errors.New("a record does not begin where the last one ends")
		}
		end := recordHead + int(binary.BigEndian.Uint32(rest[recordHead-4:]))
		if end < 0 || len(rest) < end+sha256.Size {
			return errors.New("its last record is cut off")
		}
		if sum := chained(b[:at], rest[:end]); !bytes.Equal(sum[:], rest[end:end+sha256.Size]) {
			return errors.New("a record's checksum is wrong")
		}
		at += end + sha256.Size
	}
	return nil
}
