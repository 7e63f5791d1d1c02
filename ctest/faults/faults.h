/*
 * Faults in the shim, chosen by the environment, while a program of ours is its host.
 *
 *     FAULT=panic FILE:LINE NTH          the test build's guard at this place panics, at its
 *                                        NTH passing or at each (0)
 *     FAULT=function NAME NTH VALUE      a function that the shim calls for itself returns
 *                                        VALUE, at its NTH call or at each (0)
 *     FAULT=allocation NTH               the shim's NTH allocation finds no memory
 *     FAULT=allocations NTH              nor do those after it
 *
 * Panics and functions need the test build (cargo's feature "faults"), which asks the
 * two functions below; allocations are those of any build. The fault is only there
 * while it is armed.
 */
#ifndef FAULTS_FAULTS_H
#define FAULTS_FAULTS_H

/* Reads the environment; to be called once the shim is in the process, if it is. */
void faults_begin(void);

/* From now on faults are counted and occur, or not. */
void faults_arm(int armed);

/* Whether a panic or a failing function has occurred. */
int faults_occurred(void);

/*
 * Prints, each as a line that begins with "#": the places where the shim's guard was
 * passed, how often each function was called, how many allocations there were, and
 * whether the fault occurred.
 */
void faults_report(void);

#endif
