//go:build cgo

package hostinfo

const builtWithCgo = true
