package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/infer/mosaic"
	"github.com/histdist/histdist/internal/lockfile"
	"github.com/histdist/histdist/internal/server/catalogue"
	"github.com/histdist/histdist/internal/server/models"
)

// Options are everything that a server needs.
type Options struct {
	Settings
	Models  []models.Source
	Devices []models.Device // each has a worker
	Work    infer.Options   // of the workers, but for the device
	Version string          // of the program
	Commit  string          // "" if it is unknown
	Log     *slog.Logger

	// Foreground runs the workers at the usual priority: in tests, which wait for nothing else.
	Foreground bool

	// translate is mosaic.TranslateFile, unless a test makes it fail.
	translate func(context.Context, *infer.Pipeline, mosaic.FileOptions) (mosaic.Plan, error)
}

// Server answers requests. It is closed by Close.
type Server struct {
	options  Options
	settings Settings
	state    string // folder
	lock     *lockfile.Lock
	log      *slog.Logger
	metrics  *metrics
	accounts []account // nil: without tokens
	hosts    []string
	origins  *http.CrossOriginProtection
	models   *models.Models
	devices  []models.Device
	mux      *http.ServeMux
	ending   chan struct{} // closed when the server is asked to end: streams end themselves

	catalogue   *catalogue.Catalogue
	uploads     uploads
	stopUploads context.CancelFunc
	tasks       sync.WaitGroup // that remove uploads

	jobs jobs
}

// errFault stands for a panic.
var errFault = errors.New("the server has a fault")

// New opens everything that a server needs, and starts its workers, which end with ctx or Close.
func New(ctx context.Context, o Options) (_ *Server, err error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.translate == nil {
		o.translate = mosaic.TranslateFile
	}
	s := &Server{
		options: o, settings: o.Settings, log: o.Log, metrics: newMetrics(o.Version), hosts: knownHosts(o.Settings),
		origins: http.NewCrossOriginProtection(), devices: o.Devices, ending: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if o.TokenFile != "" {
		if s.accounts, err = readTokens(o.TokenFile); err != nil {
			return nil, err
		}
	}
	if err := s.openState(); err != nil {
		return nil, err
	}
	if s.models, err = models.New(o.Models); err != nil {
		return nil, err
	}
	if err := s.openSlides(ctx); err != nil {
		return nil, err
	}
	if err := s.openJobs(ctx); err != nil {
		return nil, err
	}
	s.mux = s.newMux()
	return s, nil
}

// openState makes the folder of the server's state its own.
func (s *Server) openState() error {
	folder := s.settings.State
	if folder == "" {
		var err error
		if folder, err = StateFolder(); err != nil {
			return fmt.Errorf("--state: %w", err)
		}
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("--state: %w", err)
	}
	lock, err := lockfile.Acquire(filepath.Join(folder, "lock"))
	var held *lockfile.HeldError
	if errors.As(err, &held) {
		return fmt.Errorf("--state: %s: another server uses this folder: %w; name another one", folder, err)
	}
	if err != nil {
		return fmt.Errorf("--state: %w", err)
	}
	s.state, s.lock = folder, lock
	return nil
}

// Close ends the workers and closes everything.
func (s *Server) Close() error {
	errs := []error{s.closeJobs(), s.closeSlides()}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
		s.lock = nil
	}
	return errors.Join(errs...)
}

// Listen opens the address of the settings. The URL is what a browser on this machine is told.
func Listen(o Settings) (l net.Listener, url string, err error) {
	if l, err = net.Listen("tcp", o.Address); err != nil {
		return nil, "", fmt.Errorf("--address: %w", err)
	}
	scheme := "http"
	if o.TLSCertificate != "" {
		pair, err := tls.LoadX509KeyPair(o.TLSCertificate, o.TLSKey)
		if err != nil {
			return nil, "", errors.Join(fmt.Errorf("--tls-certificate, --tls-key: %w", err), l.Close())
		}
		scheme = "https"
		url = scheme + "://" + l.Addr().String() + "/"
		return tls.NewListener(limit(l, maxConnections), &tls.Config{
			Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12,
		}), url, nil
	}
	return limit(l, maxConnections), scheme + "://" + l.Addr().String() + "/", nil
}

// graceTime is how long requests may go on after the server was asked to end.
const graceTime = 10 * time.Second

// Serve answers requests until ctx ends, then lets those that run come to an end. It closes the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	h := &http.Server{
		Handler: s, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return requests },
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() {
		select {
		case <-ctx.Done():
		case <-requests.Done(): // it has failed
		}
		close(s.ending)
		grace, stop := context.WithTimeout(context.WithoutCancel(ctx), graceTime)
		defer stop()
		err := h.Shutdown(grace)
		if err != nil { // time is up
			cancel()
			err = h.Close()
		}
		ended <- err
	}()
	err := h.Serve(l)
	if !errors.Is(err, http.ErrServerClosed) {
		cancel()
		return errors.Join(err, <-ended)
	}
	return <-ended
}

// fail answers a request with what is wrong.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	infoOf(r).err = err
	if answer, ok := w.(*response); ok && answer.status != 0 {
		return // it has begun to answer: the client sees that it ends too early
	}
	asProblem(err).write(w, r)
}

// program names the program, with its version, in what it writes.
func (o Options) program() string { return "histdist " + cmp.Or(o.Version, "devel") }
