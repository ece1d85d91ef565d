package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/experiments/metrics/stats"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/stain"
	"github.com/histdist/histdist/internal/stain/nuclei"
	"github.com/histdist/histdist/internal/synth"
)

// Row scores a way of making virtual stains. Numbers that do not apply are NaN.
type Row struct {
	Name     string          `json:"name"`
	SSIM     evaluate.Number `json:"ssim"`     // against the true stain, mean over the pieces
	PSNR     evaluate.Number `json:"psnr"`     // likewise, in dB
	Positive evaluate.Number `json:"positive"` // Pearson's r of the DAB-positive area over the pieces
	Nuclei   evaluate.Number `json:"nuclei"`   // Pearson's r of the fraction of positive nuclei with the truth
	Dice     evaluate.Number `json:"dice"`     // of the nuclear masks of H&E and virtual stain

	JSD       evaluate.Number `json:"dab_jsd"`        // divergence of the DAB histograms, mean over the pieces
	Pooled    evaluate.Number `json:"dab_jsd_pooled"` // and of all pixels
	Excess    evaluate.Number `json:"nuclei_bias"`    // nuclei more than in the true stain, 1/mm²
	Sharpness evaluate.Number `json:"sharpness"`      // variance of the Laplacian, divided by the true stain's
	FinePower evaluate.Number `json:"fine_power"`     // power above half of Nyquist's frequency, likewise
}

// MeasureOptions say what is measured.
type MeasureOptions struct {
	Pieces   int    // pieces of tissue, of as many patients
	Ablation int    // how many of them to also translate without parts of the method
	Preset   string // see model.Purpose.Preset; "": the paper's except for the steps
	Steps    int    // of inversion and translation each
	Device   device.Device
	Software string
	Observe  progress.Observer // see infer.FileOptions
}

// Measure translates tissue of unseen patients and evaluates the virtual stains as `histdist evaluate` does, in
// sub-folders of the folder, and for comparison a copy of the H&E, the mean colour of the true stains, and the model
// without parts of the method. It reuses what an earlier call left there.
func Measure(ctx context.Context, folder string, o MeasureOptions) ([]Row, error) {
	tissue := filepath.Join(folder, "tissue")
	c := synth.Default()
	c.Seed, c.Size, c.Pairs, c.ValPairs, c.PatientPairs = unseen+1, 256, 0, o.Pieces, 1
	if err := synth.Write(ctx, tissue, c, nil); err != nil {
		return nil, err
	}
	m := &measurement{
		MeasureOptions: o, folder: folder, he: filepath.Join(tissue, "TrainValAB", "valA"),
		ihc:   filepath.Join(tissue, "TrainValAB", "valB"),
		truth: filepath.Join(tissue, "truth", "val"), model: filepath.Join(folder, "model"),
	}
	if err := Extract(m.model); err != nil {
		return nil, err
	}
	var rows []Row
	add := func(r Row, err error) error {
		rows = append(rows, r)
		return err
	}
	if err := add(m.translated(ctx, "the model", "", m.he)); err != nil {
		return rows, err
	}
	if err := add(m.evaluated(ctx, "a copy of the H&E", m.he)); err != nil {
		return rows, err
	}
	flat, err := m.flat()
	if err != nil {
		return rows, err
	}
	if err := add(m.evaluated(ctx, "the mean colour of the true stains", flat)); err != nil {
		return rows, err
	}
	if o.Ablation == 0 {
		return rows, nil
	}
	few, err := m.few()
	if err != nil {
		return rows, err
	}
	for _, without := range []infer.Without{"", "tokens", "concatenation", "inversion"} {
		name := fmt.Sprintf("the model on %d pieces", o.Ablation)
		if without != "" {
			name = "  without " + string(without)
		}
		if err := add(m.translated(ctx, name, without, few)); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// measurement is a call of Measure.
type measurement struct {
	MeasureOptions
	folder, model  string
	he, ihc, truth string // folders of the tissue
}

// translated measures the model, possibly without a part of the method, on a folder of H&E.
func (m *measurement) translated(ctx context.Context, name string, without infer.Without, he string) (Row, error) {
	s, unet, err := settings(m.model, m.Preset, m.Steps)
	if err != nil {
		return Row{Name: name}, err
	}
	s.Without = without
	out := filepath.Join(m.folder, strings.Join([]string{"virtual", filepath.Base(he), string(without)}, "-"))
	if m.Preset != "" {
		out += "-" + m.Preset
	}
	p, err := infer.Open(m.model, model.Options{UNet: unet, Prediction: s.Prediction}, infer.Options{Device: m.Device})
	if err != nil {
		return Row{Name: name}, err
	}
	problems, err := evaluate.Translate(ctx, p, he, out, infer.FileOptions{
		Settings: s, Preset: m.Preset, Batch: 1, Program: m.Software, Observe: m.Observe,
	})
	if err := errors.Join(err, p.Close()); err != nil {
		return Row{Name: name}, err
	}
	if len(problems) > 0 {
		return Row{Name: name}, errors.New(problems[0].String())
	}
	return m.evaluated(ctx, name, out)
}

// evaluated measures a folder of virtual stains.
func (m *measurement) evaluated(ctx context.Context, name, virtual string) (Row, error) {
	r := Row{Name: name}
	settings := evaluate.DefaultSettings()
	settings.Vectors, settings.MPP = evaluate.Macenko, synth.Default().MPP
	results, table, err := evaluate.Run(ctx, evaluate.Options{
		Real: m.ihc, Virtual: virtual, HE: m.he,
		Output: filepath.Join(m.folder, "evaluation", filepath.Base(virtual)), Settings: settings,
		PatientPattern: "^(.*)$", Software: m.Software,
	})
	if err != nil {
		return r, err
	}
	if results.Failed() {
		return r, errors.New(results.Problems[0].String())
	}
	for id, to := range map[string]*evaluate.Number{
		"ssim": &r.SSIM, "psnr": &r.PSNR, "positive_area_pearson": &r.Positive, "dab_jsd": &r.JSD,
		"dab_jsd_pooled": &r.Pooled, "nuclei_bias": &r.Excess, "sharpness_ratio": &r.Sharpness,
		"fine_power_ratio": &r.FinePower,
	} {
		metric := results.Metric(id)
		if metric == nil {
			return r, fmt.Errorf("an evaluation without %s", id)
		}
		*to = metric.Value
	}
	return r, m.nuclei(&r, table)
}

// nuclei compares the nuclei of the virtual stains with the truth and the H&E.
func (m *measurement) nuclei(r *Row, t *evaluate.Table) error {
	he, err := stain.New(stain.QuPathHE())
	if err != nil {
		return err
	}
	ihc, err := stain.New(stain.QuPathHDAB())
	if err != nil {
		return err
	}
	found := t.Values("virtual_ki67_index")
	if found == nil {
		return errors.New("an evaluation without positive nuclei")
	}
	var truth, measured []float64
	dice := 0.0
	for i, p := range t.Rows {
		text, err := os.ReadFile(filepath.Join(m.truth, filepath.Base(p.Name)+".json"))
		if err != nil {
			return err
		}
		var known synth.Truth
		if err := json.Unmarshal(text, &known); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		if all := len(known.Nuclei); all > 0 && evaluate.Number(found[i]).Known() {
			truth, measured = append(truth, float64(known.PositiveNuclei)/float64(all)), append(measured, found[i])
		}
		a, err := detect(p.HE, he, nuclei.HaematoxylinDensity)
		if err != nil {
			return err
		}
		b, err := detect(p.Virtual, ihc, nuclei.RedDensity)
		if err != nil {
			return err
		}
		d, err := nuclei.Dice(a, b)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		dice += d / float64(len(t.Rows))
	}
	r.Dice = evaluate.Number(dice)
	r.Nuclei = evaluate.Number(stats.Pearson(truth, measured))
	return nil
}

func detect(path string, s *stain.Separator, signal nuclei.Signal) (*nuclei.Detection, error) {
	m, err := imagefile.Read(path, imagefile.Options{})
	if err != nil {
		return nil, err
	}
	return nuclei.Detect(m, s, nuclei.Options{Signal: signal, MPP: synth.Default().MPP})
}

// flat makes a folder of images in the mean colour of the true stains.
func (m *measurement) flat() (string, error) {
	folder := filepath.Join(m.folder, "virtual-flat")
	files, err := filepath.Glob(filepath.Join(m.ihc, "*"))
	if err != nil {
		return "", err
	}
	var sum [3]float64
	n, width, height := 0.0, 0, 0
	for _, path := range files {
		p, err := imagefile.Read(path, imagefile.Options{})
		if err != nil {
			return "", err
		}
		for i, v := range p.Pix {
			sum[i%3] += float64(v)
		}
		n, width, height = n+float64(p.Width*p.Height), p.Width, p.Height
	}
	flat := imagefile.New(width, height)
	for i := range flat.Pix {
		flat.Pix[i] = uint8(math.Round(sum[i%3] / n))
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	for _, path := range files {
		if err := imagefile.Write(filepath.Join(folder, stem(path)+".png"), flat, imagefile.WriteOptions{}); err != nil {
			return "", err
		}
	}
	return folder, nil
}

// few makes a folder of the H&E of the first pieces.
func (m *measurement) few() (string, error) {
	folder := filepath.Join(m.folder, fmt.Sprintf("he-%d", m.Ablation))
	files, err := filepath.Glob(filepath.Join(m.he, "*"))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	for _, path := range files[:min(m.Ablation, len(files))] {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if err := atomicfile.Write(filepath.Join(folder, filepath.Base(path)), text); err != nil {
			return "", err
		}
	}
	return folder, nil
}

func stem(path string) string {
	name := filepath.Base(path)
	return strings.TrimSuffix(name, filepath.Ext(name))
}

// WriteTable prints rows.
func WriteTable(w io.Writer, rows []Row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tSSIM\tPSNR dB\tpositive area, r\tpositive nuclei, r\tDice with H&E\tDAB JSD\tpooled"+
		"\texcess nuclei/mm²\tsharpness\tfine power")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.SSIM.Text(3), r.PSNR.Text(2),
			r.Positive.Text(3), r.Nuclei.Text(3), r.Dice.Text(3), r.JSD.Text(3), r.Pooled.Text(3), r.Excess.Text(0),
			r.Sharpness.Text(2), r.FinePower.Text(2))
	}
	return t.Flush()
}
