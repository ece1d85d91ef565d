package train

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/histdist/histdist/internal/mlflow"
)

// MLflowOptions say which MLflow run a training is written to.
type MLflowOptions struct {
	Server     string // its address
	Folder     string // of the training, which keeps the run's identifier
	Experiment string
	Params     map[string]string // of a new run
	Tags       map[string]string
	Observe    Observer // receives a Note if the server can't be reached
}

// MLflow sends a training's parameters, metrics and panels to an MLflow server. The training doesn't wait for it, and
// doesn't fail with it; all of it is in the folder, too.
type MLflow struct {
	o    MLflowOptions
	run  *mlflow.Run // nil before Start
	told bool
	now  func() time.Time
}

// mlflowFile is the file in a run's folder that names its MLflow run.
const mlflowFile = "mlflow.json"

// NewMLflow prepares for a run; nothing is sent before its Start.
func NewMLflow(o MLflowOptions) (*MLflow, error) {
	if err := mlflow.CheckURL(o.Server); err != nil {
		return nil, fmt.Errorf("mlflow: %w", err)
	}
	return &MLflow{o: o, now: time.Now}, nil
}

// Observe sends Start, Metrics, Scores and Panel. A resumed run continues its MLflow run, in which steps after the
// checkpoint come again: the server keeps the numbers of both.
func (m *MLflow) Observe(event any) error {
	switch e := event.(type) {
	case Start:
		return m.begin(e.Step)
	case Metrics:
		m.scalars(e.Step, e.scalars())
	case Scores:
		m.scalars(e.Step, e.Values)
	case Panel:
		return m.panel(e)
	}
	return m.tell()
}

func (m *MLflow) begin(step int) (err error) {
	folder, err := filepath.Abs(m.o.Folder)
	if err != nil {
		return err
	}
	m.run, err = mlflow.Start(mlflow.Options{
		Server: m.o.Server, Env: os.Getenv, Experiment: m.o.Experiment, Name: filepath.Base(folder),
		Params: m.o.Params, Tags: m.o.Tags, File: filepath.Join(folder, mlflowFile), Continue: step > 0,
	})
	return err
}

func (m *MLflow) scalars(step int, values []Scalar) {
	var list []mlflow.Metric
	for _, v := range values {
		list = append(list, mlflow.Metric{Key: v.Name, Value: v.Value, Time: m.now().UnixMilli(), Step: int64(step)})
	}
	m.run.Log(list)
}

func (m *MLflow) panel(p Panel) error {
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, p.Image); err != nil {
		return fmt.Errorf("mlflow: image %s: %w", p.Name, err)
	}
	m.run.Upload(path.Join(p.Name, fmt.Sprintf("step-%06d.png", p.Step)), "image/png", encoded.Bytes())
	return nil
}

// tell notes once that the server can't be reached.
func (m *MLflow) tell() error {
	if m.told || m.run == nil {
		return nil
	}
	err := m.run.Trouble()
	if err == nil {
		return nil
	}
	m.told = true
	return m.o.Observe.Report(Note(fmt.Sprintf("mlflow: %v: the training goes on, what can't be sent is reported at its "+
		"end", err)))
}

// Close sends what is left and how the training ended, in a few seconds, and notes what the server didn't get.
func (m *MLflow) Close(ended error) error {
	if m.run == nil {
		return nil
	}
	status := mlflow.Finished
	switch {
	case errors.Is(ended, ErrStopped):
		status = mlflow.Killed
	case ended != nil:
		status = mlflow.Failed
	}
	if err := m.run.Close(status); err != nil {
		return m.o.Observe.Report(Note(fmt.Sprintf("mlflow: %v; all of it is in %s", err, m.o.Folder)))
	}
	return nil
}
