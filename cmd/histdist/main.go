// Command histdist turns an H&E-stained tissue image into the IHC stain of one marker, in Go.
//
// Each command has a file of its name; options.go has their options, ranks.go a training in several processes,
// progress.go and train_log.go what they report, completion.go and man.go what shells and man read.
//
// Exit codes: 0 success; 1 failure, which the message explains; 2 a wrong command line (an unknown command, flag or
// number of arguments), for which nothing was done; 75 a training on several machines that should be started again.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	// exitRestart is EX_TEMPFAIL of sysexits.h, with which the ranks of a training ask to be started again.
	exitRestart = 75
)

// version is set by the linker: make build takes it from git. go install records it in the program.
var version = "devel"

func main() {
	if info, ok := debug.ReadBuildInfo(); ok && version == "devel" && strings.HasPrefix(info.Main.Version, "v") {
		version = info.Main.Version
	}
	prepareConsole()
	// The first Ctrl-C ends the command cleanly, a second one at once. On Windows Ctrl-Break does the same as Ctrl-C, and
	// SIGTERM is that the window is closed or the user logs off.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// renamed maps earlier names of flags, which still work, to the present ones.
var renamed = map[string]string{
	"out": "output", "devices": "device", "fake": "virtual", "override": "accept-changes",
}

// current returns a function that replaces earlier names of flags and notes it once.
func current(stderr io.Writer) func(*pflag.FlagSet, string) pflag.NormalizedName {
	said := map[string]bool{}
	return func(set *pflag.FlagSet, name string) pflag.NormalizedName {
		now, ok := renamed[name]
		if !ok || set.Lookup(now) == nil {
			return pflag.NormalizedName(name)
		}
		if !said[name] {
			said[name] = true
			fmt.Fprintf(stderr, "note: --%s is now called --%s\n", name, now)
		}
		return pflag.NormalizedName(now)
	}
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	started := false // cobra has accepted the command line
	root := program(stdout, stderr)
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, new(*restartError)):
		fmt.Fprintf(stderr, "%s: %v\n", command.CommandPath(), err)
		return exitRestart
	case started:
		fmt.Fprintf(stderr, "%s: %v\n", command.CommandPath(), err)
		return exitFailed
	}
	fmt.Fprintf(stderr, "%s: %v\nRun '%[1]s --help' for usage.\n", command.CommandPath(), err)
	return exitUsage
}

// program returns histdist with all of its commands.
func program(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "histdist",
		Short: "virtual IHC staining of H&E images with a latent diffusion model",
		Long: `histdist turns an H&E-stained tissue image into the IHC stain of one marker (ER, HER2, Ki67, PR) with a latent
diffusion model, and trains such models.

For research only: the images that it makes are not for diagnosis.

Exit codes: 0 done, 1 failed, 2 wrong command line, 75 a training on several machines that is to be started again.`,
		Version:           version,
		SilenceErrors:     true, // printed below, once
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{},
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(
		translateCommand(), serveCommand(), evaluateCommand(), trainCommand(), exportCommand(), dataCommand(), slideCommand(),
		modelCommand(), demoCommand(), statusCommand(), benchCommand(), configCommand(), doctorCommand(), manCommand(),
	)
	completeFlags(root)
	root.SetGlobalNormalizationFunc(current(stderr))
	return root
}
