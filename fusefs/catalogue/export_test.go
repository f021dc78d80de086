package catalogue

// SafeLabel is a label as a path component.
var SafeLabel = safeLabel
