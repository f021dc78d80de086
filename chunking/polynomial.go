package chunking

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/restic/chunker"
)

// polynomialDegree is prime, and leaves a fingerprint shifted by one byte
// within 64 bits.
const polynomialDegree = 53

// Polynomial is an irreducible polynomial of degree 53 over F2, bit i being the
// coefficient of x^i. It is secret, one per repository. Convert it to uint64 to
// store it; formatted or logged it shows as "[secret]".
type Polynomial uint64

// NewPolynomial draws a polynomial from rand, which must be cryptographically
// secure. It returns rand's error if there is one.
func NewPolynomial(rand io.Reader) (Polynomial, error) {
	p, err := chunker.DerivePolynomial(rand)
	if err != nil {
		return 0, fmt.Errorf("drawing a polynomial: %w", err)
	}
	return Polynomial(p), nil
}

func (p Polynomial) irreducible() bool {
	pol := chunker.Pol(p)
	return pol.Deg() == polynomialDegree && pol.Irreducible()
}

// Format implements [fmt.Formatter] and writes "[secret]" for every verb.
func (p Polynomial) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

// String returns "[secret]".
func (p Polynomial) String() string { return "[secret]" }

// LogValue implements [slog.LogValuer] and hides the polynomial.
func (p Polynomial) LogValue() slog.Value { return slog.StringValue(p.String()) }
