// Package schedule holds the arithmetic of diffusion on latents: noise levels, time steps, the noise of training, and
// the steps of samplers. It works on slices of float32, without networks, graphs or random numbers. Training and
// inference share it.
//
// How a value flows:
//
//	scheduler_config.json ─ ReadConfig ─▶ Config ─ For(prediction) ─▶ Config ─ New ─▶ Schedule: ᾱ of each time step
//
//	training    Schedule.AddNoise(x, ε, t) → the network's input     Schedule.Velocity(x, ε, t) → its target
//	            Schedule.MinSNRWeight(t, γ) → the weight of its loss
//	inference   Schedule.Timesteps(n), Schedule.InverseTimesteps(n) → t of each step
//	            DDIM, Inversion: latents, network's output → latents of the next step
//	            Solver.Translation(n), Solver.Inversion(n) → a sampler and its steps, by name: DDIM, or one of order 2,
//	            DPMSolver, DPMSolverInverse, SASolver, which keep a History of their run, or Consistency
//	            Eta.At(i, n) → how much noise a step adds     Standardise(latents) → mean 0 and deviation 1 per channel
//
// Latents are [N,H,W,C]; all functions but Standardise take any layout. Numbers follow diffusers 0.32 in float32,
// operation by operation.
//
//	config.go        scheduler_config.json
//	resolve.go       which configuration a model runs with, by its folder's file and what a user chose
//	schedule.go      Schedule: betas and noise levels
//	timesteps.go     which time steps a run visits
//	forward.go       noise for training, velocity, signal-to-noise ratio
//	step.go          what the samplers share: prediction types, the move from one noise level to another
//	ddim.go          DDIM
//	inversion.go     Inversion: DDIM the other way, with noise
//	solver.go        Solver: samplers by name, and the steps of a run
//	sampling.go      Sampling: solvers, steps, η and standardisation of a run, by default the paper's
//	multistep.go     what the solvers of order 2 share: History, a step at order 1 and its correction
//	dpmsolver.go     DPMSolver and DPMSolverInverse: DPM-Solver++(2M)
//	sasolver.go      SASolver
//	consistency.go   Consistency, for networks for few steps
//	standardise.go   standardisation per channel, and when it is done
//	eta.go           η as a function of progress
package schedule
