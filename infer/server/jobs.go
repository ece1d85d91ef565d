package server

import "context"

// jobs is what a server knows of its translations.
type jobs struct{}

// openJobs opens the queue and starts a worker for each device.
func (s *Server) openJobs(_ context.Context) error { return nil }

// closeJobs ends the workers; what they were doing is continued at the next start.
func (s *Server) closeJobs() error { return nil }

func (s *Server) jobRoutes() []route { return nil }

// jobCounts returns how many jobs wait and run.
func (s *Server) jobCounts() (queued, running int) { return 0, 0 }

// resultImage returns the file of a finished job's stain, if the user may see it.
func (s *Server) resultImage(_ context.Context, _, _ string) (path string, ok bool) { return "", false }
