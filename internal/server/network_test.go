package server

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// serveOn serves on a listener until the test ends.
func serveOn(t *testing.T, s *Server, l net.Listener) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// With a certificate it is HTTPS, without anything older than TLS 1.2, and browsers are told to stay with it.
func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, "", func(o *Options) {
		folder := t.TempDir()
		o.Address = "127.0.0.1:0"
		o.TLSCertificate, o.TLSKey = filepath.Join(folder, "certificate.pem"), filepath.Join(folder, "key.pem")
		write(t, o.TLSCertificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
		write(t, o.TLSKey, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	})
	l, url, err := Listen(s.settings)
	if err != nil {
		t.Fatal(err)
	}
	defer serveOn(t, s, l)()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
	for version, works := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: roots, MinVersion: version, MaxVersion: version,
		}}}
		answer, err := client.Get(url + "api/v1/health")
		if (err == nil) != works {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			if answer.Header.Get("Strict-Transport-Security") == "" {
				t.Error("browsers may come back without TLS")
			}
			if err := answer.Body.Close(); err != nil {
				t.Error(err)
			}
			client.CloseIdleConnections()
		}
	}
	o := s.settings
	o.TLSKey = o.TLSCertificate
	if _, _, err := Listen(o); err == nil || !strings.Contains(err.Error(), "--tls-key") {
		t.Errorf("without a key: %v", err)
	}
}

// pipes are a network in memory, whose deadlines go by the time of synctest.
type pipes struct {
	dialled chan net.Conn
	closed  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dialled:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.dialled <- theirs
	return ours
}

// Clients that send nothing more, or take nothing, are left within the time that the documentation says.
func TestSlowClients(t *testing.T) {
	for name, test := range map[string]struct {
		sent  string
		takes bool // the answer
		left  time.Duration
	}{
		"nothing sent":  {"", true, headerTime},
		"half a header": {"GET /large HTTP/1.1\r\nHost: localhost\r\n", true, headerTime},
		"half a body": {
			"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf", true, stallTime,
		},
		"body unread, and not sent": {
			"POST /small HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n", true, stallTime,
		},
		"takes nothing":          {"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n", false, stallTime},
		"nothing after a header": {"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n", true, idleTime},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := start(t, "", func(o *Options) { o.Devices = nil })
			for path, handle := range map[string]handler{
				"GET /large": func(w http.ResponseWriter, _ *http.Request) error {
					_, err := w.Write(make([]byte, 1<<20))
					return err
				},
				"/small": func(w http.ResponseWriter, _ *http.Request) error { return reply(w, http.StatusOK, "small") },
				"POST /read": func(w http.ResponseWriter, r *http.Request) error {
					if _, err := io.Copy(io.Discard, r.Body); err != nil {
						return receiving(err)
					}
					return reply(w, http.StatusOK, "all")
				},
			} {
				s.mux.Handle(path, s.serve(route{handle: handle}))
			}
			synctest.Test(t, func(t *testing.T) {
				l := &pipes{make(chan net.Conn), make(chan struct{})}
				s.ending = make(chan struct{}) // of this bubble
				end := serveOn(t, s, l)
				c := l.dial()
				began := time.Now()
				if _, err := io.WriteString(c, test.sent); err != nil {
					t.Fatal(err)
				}
				if !test.takes {
					time.Sleep(test.left + time.Second)
				}
				_, err := io.Copy(io.Discard, bufio.NewReader(c))
				if err != nil && !errors.Is(err, io.ErrClosedPipe) {
					t.Error(err)
				}
				if took := time.Since(began); took < test.left || took > test.left+5*time.Second {
					t.Errorf("it is left after %v, want %v", took, test.left)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				end()
			})
		})
	}
}
