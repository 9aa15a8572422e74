/*
 * What the parts of aiotun._speedups share: the module's state, and what each part puts into the module.
 *
 * Rules for changing these files:
 *
 * - Every function has a Python twin of the same name, with the same results and the same errors; the tests run on
 *   both. aiotun/speedups.py chooses.
 * - Nothing is kept between two calls but what is in State, so that every interpreter has its own.
 * - No reference is borrowed across anything that can run Python code or that lets go of the GIL.
 */
#ifndef AIOTUN_SPEEDUPS_H
#define AIOTUN_SPEEDUPS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

typedef struct {
    PyObject *device_closed;     /* aiotun.errors.DeviceClosed */
    PyTypeObject *iterator_type; /* PacketIterator */
    PyTypeObject *step_type;     /* what PacketIterator.__anext__() returns */
    unsigned char *arena;        /* where read_batch() reads to; NULL while a call uses it */
} State;

/* Each part's functions. */
extern PyMethodDef checksum_functions[], batch_functions[], calls_functions[];

/* Return *batch* as what PySequence_Fast_GET_ITEM() reads; where no GIL keeps a list as it is, a copy. */
static inline PyObject *hold_batch(PyObject *batch)
{
#ifdef Py_GIL_DISABLED
    return PySequence_Tuple(batch);
#else
    return PySequence_Fast(batch, "a batch is a sequence of packets");
#endif
}

/* Add PacketIterator to the module. */
int iterator_exec(PyObject *module, State *state);

#endif
