package icc

import (
	"encoding/binary"
	"errors"
)

// clut is a colour look-up table over a grid of one to four channels.
type clut struct {
	inputs int
	grid   [4]int
	stride [4]int    // of a step along each channel, in values
	v      []float32 // three for each node, the last channel runs fastest
}

// newClut reads the nodes, of one or two bytes a value, and returns their length. Missing bytes are an error.
func newClut(b []byte, grid []int, bytes int) (*clut, int, error) {
	if len(grid) < 1 || len(grid) > 4 || bytes != 1 && bytes != 2 {
		return nil, 0, errors.New("the table is damaged")
	}
	c := &clut{inputs: len(grid)}
	copy(c.grid[:], grid)
	n := 3
	for i := len(grid) - 1; i >= 0; i-- {
		if grid[i] < 2 || grid[i] > 255 { // so that 3·255⁴ values fit into an int
			return nil, 0, errors.New("the table is damaged")
		}
		c.stride[i] = n
		n *= grid[i]
	}
	if len(b) < n*bytes {
		return nil, 0, errors.New("the table is cut off")
	}
	c.v = make([]float32, n)
	for i := range c.v {
		if bytes == 1 {
			c.v[i] = float32(b[i]) / 255
		} else {
			c.v[i] = float32(binary.BigEndian.Uint16(b[2*i:])) / 65535
		}
	}
	return c, n * bytes, nil
}

// apply replaces the channels by the three values that the table has for them.
func (c *clut) apply(v *[4]float64) {
	out := c.interpolate(v, 0, 0)
	v[0], v[1], v[2] = out[0], out[1], out[2]
}

// interpolate returns the value at v from channel dim on: tetrahedral in the last three channels, as in LittleCMS, and
// linear in those before.
func (c *clut) interpolate(v *[4]float64, dim, node int) (out [3]float64) {
	if dim == c.inputs {
		for k := range out {
			out[k] = float64(c.v[node+k])
		}
		return out
	}
	if c.inputs-dim == 3 {
		return c.tetrahedron(v, dim, node)
	}
	index, part := c.place(v, dim)
	node += index * c.stride[dim]
	out = c.interpolate(v, dim+1, node)
	if part > 0 {
		next := c.interpolate(v, dim+1, node+c.stride[dim])
		for k := range out {
			out[k] += part * (next[k] - out[k])
		}
	}
	return out
}

// tetrahedron walks from the cube's first corner to its last along the three channels, the one with the largest part
// first.
func (c *clut) tetrahedron(v *[4]float64, dim, node int) (out [3]float64) {
	var part [3]float64
	var step [3]int
	for i := range part {
		index, p := c.place(v, dim+i)
		node += index * c.stride[dim+i]
		part[i], step[i] = p, c.stride[dim+i]
	}
	for range 2 { // sort
		for i := range 2 {
			if part[i] < part[i+1] {
				part[i], part[i+1], step[i], step[i+1] = part[i+1], part[i], step[i+1], step[i]
			}
		}
	}
	for k := range out {
		out[k] = float64(c.v[node+k])
	}
	for i, p := range part {
		if p == 0 { // at the last node there is no next one
			break
		}
		for k := range out {
			out[k] += p * (float64(c.v[node+step[i]+k]) - float64(c.v[node+k]))
		}
		node += step[i]
	}
	return out
}

// place is the node before a channel's value, and the part of the way to the next one: 0 at the last.
func (c *clut) place(v *[4]float64, dim int) (index int, part float64) {
	at := clamp01(v[dim]) * float64(c.grid[dim]-1)
	index = int(at)
	return index, at - float64(index)
}
