// Package weights reads and writes the weights of networks.
package weights
