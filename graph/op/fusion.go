package op

// Fusion is what a product's kernel does to its result before it is stored, in addition to the network's own options.
type Fusion struct {
	Residual bool // adds a further input, the last one, which has the output's shape
	Act      Act  // applies an activation, after bias and residual
	Store    Kind // of the output
}

// Fusible is a Spec of a product whose kernels can do more to the result while it is in registers.
type Fusible interface {
	Spec
	// Fuse returns the Spec that does f too; nil if there is no kernel for that.
	Fuse(f Fusion) Spec
}

// follows reports whether f can be added to a kernel's own: one residual, then one activation.
func (f Fusion) follows(residual bool, act Act) bool {
	if f.Act == NoAct && !f.Residual {
		return true
	}
	return act == NoAct && (!f.Residual || !residual)
}

// Fuse takes a residual, then an activation.
func (l Linear) Fuse(f Fusion) Spec {
	if !f.follows(l.Residual, l.Act) {
		return nil
	}
	l.Residual, l.Act, l.Store = l.Residual || f.Residual, max(l.Act, f.Act), f.Store
	return l
}

// Fuse takes a residual, then an activation.
func (c Conv2D) Fuse(f Fusion) Spec {
	if !f.follows(c.Residual, c.Act) {
		return nil
	}
	c.Residual, c.Act, c.Store = c.Residual || f.Residual, max(c.Act, f.Act), f.Store
	return c
}

// Fuse takes a residual.
func (l LinearDataGrad) Fuse(f Fusion) Spec {
	if f.Act != NoAct || !f.follows(l.Residual, NoAct) {
		return nil
	}
	l.Residual, l.Store = l.Residual || f.Residual, f.Store
	return l
}

// Fuse takes a residual.
func (c ConvDataGrad) Fuse(f Fusion) Spec {
	if f.Act != NoAct || !f.follows(c.Residual, NoAct) {
		return nil
	}
	c.Residual, c.Store = c.Residual || f.Residual, f.Store
	return c
}
