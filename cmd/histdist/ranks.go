package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/internal/ranks"
)

// restartError ends the program with exitRestart.
type restartError struct{ error }

func (e *restartError) Unwrap() error { return e.error }

// leads reports whether this process is alone, or the first of its job.
func leads(job *ranks.Job) bool { return job == nil || job.Rank() == 0 }

// grace is how long a rank may take to end by itself when its job has failed, such as to finish a checkpoint. It may be
// waiting for a GPU for ever. Files appear whole or not at all, so that ending at once does no harm.
const grace = 5 * time.Second

// withRanks calls train with the job that a launcher started this process for, nil if there is none. Where ranks have
// met, all that goes wrong ends all of them with exitRestart: other machines may do better.
func withRanks(cmd *cobra.Command, c experiments.Config, train func(*ranks.Job) error) error {
	launch, err := ranks.Find(os.Getenv)
	if err != nil || launch == nil {
		if err == nil {
			err = train(nil)
		}
		return err
	}
	timeout := time.Duration(c.Run.RankTimeout) * time.Second
	job, err := ranks.Join(cmd.Context(), *launch, ranks.Options{Timeout: timeout})
	if err != nil {
		return &restartError{err}
	}
	go func() {
		<-job.Failed()
		time.Sleep(grace)
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\nstarted again with --resume auto, it goes on from the last checkpoint\n",
			cmd.CommandPath(), job.Err())
		os.Exit(exitRestart)
	}()
	if err = sameProgram(cmd, job); err == nil {
		err = train(job)
	}
	if failed := job.Leave(err); failed != nil && !errors.Is(err, failed) {
		err = failed // which says of which rank it was
	}
	if err != nil {
		return &restartError{err}
	}
	return nil
}

// sameProgram compares the ranks' programs, down to the byte.
func sameProgram(cmd *cobra.Command, job *ranks.Job) error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return errors.Join(err, f.Close())
	}
	facts := map[string]string{"program": fmt.Sprintf("%s, SHA-256 %.12x", version, hash.Sum(nil))}
	return errors.Join(job.Agree(cmd.Context(), "the program", facts), f.Close())
}
