/*
 * PacketIterator: what stands behind `async for packet in endpoint`. Its twin is in aiotun/endpoint/iteration.py.
 *
 * A step of `async for` calls __anext__() and awaits what that returns: in Python a coroutine, here a Step. It has a
 * coroutine's methods and states, but takes a held packet without a frame, and without a StopIteration where the
 * interpreter asks am_send. Only if no packet is held does it start the coroutine fill(), and passes on to it what is
 * sent and thrown, as `await fill()` does. Nothing is popped before a Step is stepped: one that is dropped or cancelled
 * has taken no packet.
 *
 * One step of `async for`, over a list of held packets: 24 ns for the coroutine's 88 on CPython 3.11, 37 for 86 on
 * 3.12, 38 for 95 on 3.13; see benchmarks/questions/in_process.py.
 */
#include "speedups.h"

typedef struct Step Step;

typedef struct {
    PyObject_HEAD
    PyObject *pop;  /* takes a packet that is held; IndexError if there is none */
    PyObject *held; /* the list whose pop() that is, borrowed from it; NULL if it is something else's */
    PyObject *fill; /* returns an awaitable that waits until there is one */
    Step *spare;    /* the last Step, for the next __anext__() if nobody else has kept it */
    State *state;
} Iterator;

typedef enum { NEW, FILLING, DONE } Phase;

struct Step {
    PyObject_HEAD
    Iterator *iterator; /* NULL once done, so that an iterator and its spare Step are no cycle */
    PyObject *filling;  /* what fill() is stepped by, while it waits */
    PyObject *stop;     /* the StopIteration of step_next(), for the next time if nobody else has kept it */
    Phase phase;
    char running;
};

/* Whether whoever asks has the only reference to *kept*, so that nobody can tell it from a new one. */
static int is_free(PyObject *kept)
{
#ifdef Py_GIL_DISABLED
    (void)kept; /* another thread's reference would not show in the count */
    return 0;
#else
    return Py_REFCNT(kept) == 1;
#endif
}

/*
 * Take a packet that is held. From a list directly, for 6 ns less of 30; but for the last one, with which list.pop()
 * gives the memory back.
 */
static PyObject *pop(Iterator *self)
{
#ifndef Py_GIL_DISABLED
    PyObject *held = self->held;
    Py_ssize_t left;

    if (held != NULL && (left = PyList_GET_SIZE(held) - 1) > 0) {
        PyObject *packet = PyList_GET_ITEM(held, left);
        Py_SET_SIZE((PyVarObject *)held, left);
        return packet;
    }
#endif
    return PyObject_CallNoArgs(self->pop);
}

/* --- ends of a Step: each returns what the send slot does -------------------------------------------------- */

static PySendResult end(Step *self, PySendResult how)
{
    self->phase = DONE;
    self->running = 0;
    Py_CLEAR(self->filling);
    Py_CLEAR(self->iterator);
    return how;
}

/* End as fill() failed: quietly where the endpoint was closed. */
static PySendResult end_failed(Step *self)
{
    if (PyErr_ExceptionMatches(self->iterator->state->device_closed)) {
        PyErr_Clear();
        PyErr_SetNone(PyExc_StopAsyncIteration);
    }
    return end(self, PYGEN_ERROR);
}

/* Take over what stepping fill() gave. */
static PySendResult after_filling(Step *self, PySendResult how, PyObject **result)
{
    switch (how) {
    case PYGEN_NEXT:
        self->running = 0;
        return how;
    case PYGEN_ERROR:
        return end_failed(self);
    default:
        Py_DECREF(*result);
        *result = pop(self->iterator);
        return end(self, *result == NULL ? PYGEN_ERROR : PYGEN_RETURN);
    }
}

/* --- stepping a Step --------------------------------------------------------------------------------------- */

/* Call fill(); return what steps it: the coroutine itself, or what __await__() of another awaitable gives. */
static PyObject *start_filling(Iterator *iterator)
{
    PyObject *awaitable = PyObject_CallNoArgs(iterator->fill), *steps = NULL;

    if (awaitable == NULL || PyCoro_CheckExact(awaitable))
        return awaitable;
    PyAsyncMethods *async = Py_TYPE(awaitable)->tp_as_async;
    if (async != NULL && async->am_await != NULL)
        steps = async->am_await(awaitable);
    else
        PyErr_Format(PyExc_TypeError, "object %.100s can't be used in 'await' expression", Py_TYPE(awaitable)->tp_name);
    Py_DECREF(awaitable);
    return steps;
}

/* Refuse what a coroutine refuses. */
static int check_steppable(Step *self)
{
    if (self->running)
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
    else if (self->phase == DONE)
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
    else
        return 0;
    return -1;
}

static PySendResult step_send(Step *self, PyObject *value, PyObject **result)
{
    *result = NULL;
    if (check_steppable(self) < 0)
        return PYGEN_ERROR;
    if (self->phase == NEW) {
        if (!Py_IsNone(value)) {
            PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started coroutine");
            return PYGEN_ERROR;
        }
        self->running = 1;
        *result = pop(self->iterator);
        if (*result != NULL)
            return end(self, PYGEN_RETURN);
        if (!PyErr_ExceptionMatches(PyExc_IndexError))
            return end(self, PYGEN_ERROR);
        PyErr_Clear();
        self->filling = start_filling(self->iterator);
        if (self->filling == NULL)
            return end_failed(self);
        self->phase = FILLING;
    }
    self->running = 1;
    return after_filling(self, PyIter_Send(self->filling, value, result), result);
}

/* Return what the send slot gave as a method does: the end is a StopIteration with the packet. */
static PyObject *as_method(PySendResult how, PyObject *result)
{
    if (how == PYGEN_RETURN) {
        /* Given a tuple or an exception, PyErr_SetObject() would take it apart. */
        PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, result);
        if (stop != NULL)
            PyErr_SetObject(PyExc_StopIteration, stop);
        Py_XDECREF(stop);
        Py_CLEAR(result);
    }
    return result;
}

#if PY_VERSION_HEX >= 0x030C0000
/* Return the StopIteration that is raised next: the last one, unless somebody else has it, or it was raised on. */
static PyStopIterationObject *own_stop(Step *self)
{
    PyStopIterationObject *stop = (PyStopIterationObject *)self->stop;

    if (stop == NULL || !is_free(self->stop) || stop->traceback != NULL || stop->context != NULL) {
        stop = (PyStopIterationObject *)PyObject_CallNoArgs(PyExc_StopIteration);
        if (stop != NULL)
            Py_XSETREF(self->stop, (PyObject *)stop);
    }
    return stop;
}
#endif

/*
 * Step, as `await` does where it does not ask am_send (CPython 3.12 and 3.13): it takes the value out of the
 * StopIteration and drops that. To make one anew took 60 ns, twice as long as everything else here.
 */
static PyObject *step_next(Step *self)
{
    PyObject *result;
    PySendResult how = step_send(self, Py_None, &result);

#if PY_VERSION_HEX >= 0x030C0000
    if (how == PYGEN_RETURN) {
        PyStopIterationObject *stop = own_stop(self);
        if (stop == NULL)
            Py_DECREF(result);
        else {
            Py_XSETREF(stop->value, result);
            PyErr_SetRaisedException(Py_NewRef((PyObject *)stop));
        }
        return NULL;
    }
#endif
    return as_method(how, result);
}

static PyObject *step_send_method(Step *self, PyObject *value)
{
    PyObject *result;
    PySendResult how = step_send(self, value, &result);

    return as_method(how, result);
}

/* Raise what was thrown: an exception, or its class with a value and a traceback, as generators still take it. */
static PyObject *raise_thrown(PyObject *args)
{
    PyObject *type, *value = NULL, *traceback = NULL;

    if (!PyArg_UnpackTuple(args, "throw", 1, 3, &type, &value, &traceback))
        return NULL;
    if (traceback == Py_None)
        traceback = NULL;
    if (PyExceptionInstance_Check(type) && (value == NULL || value == Py_None)) {
        value = type;
        type = PyExceptionInstance_Class(value);
    } else if (!PyExceptionClass_Check(type)) {
        PyErr_Format(PyExc_TypeError, "exceptions must be classes or instances deriving from BaseException, not %s",
                     Py_TYPE(type)->tp_name);
        return NULL;
    }
    PyErr_Restore(Py_NewRef(type), Py_XNewRef(value), Py_XNewRef(traceback));
    return NULL;
}

static PyObject *step_throw(Step *self, PyObject *args)
{
    PyObject *result, *throw;
    PySendResult how;

    if (check_steppable(self) < 0)
        return NULL;
    if (self->phase == NEW) {
        end(self, PYGEN_ERROR);
        return raise_thrown(args);
    }
    self->running = 1;
    throw = PyObject_GetAttrString(self->filling, "throw");
    if (throw == NULL) {
        PyErr_Clear();
        result = raise_thrown(args);
    } else {
        result = PyObject_CallObject(throw, args);
        Py_DECREF(throw);
    }
    how = result != NULL ? PYGEN_NEXT : PYGEN_ERROR;
    if (result == NULL && PyErr_ExceptionMatches(PyExc_StopIteration)) {
        PyErr_Clear(); /* fill() took it as its end */
        result = Py_NewRef(Py_None);
        how = PYGEN_RETURN;
    }
    how = after_filling(self, how, &result);
    return as_method(how, result);
}

static PyObject *step_close(Step *self, PyObject *Py_UNUSED(none))
{
    PyObject *close, *result = NULL;

    if (self->running) {
        check_steppable(self);
        return NULL;
    }
    if (self->phase == FILLING && (close = PyObject_GetAttrString(self->filling, "close")) != NULL) {
        self->running = 1;
        result = PyObject_CallNoArgs(close);
        Py_DECREF(close);
        if (result == NULL) { /* it did not close, it raised */
            end(self, PYGEN_ERROR);
            return NULL;
        }
        Py_DECREF(result);
    }
    PyErr_Clear(); /* what has no close() needs none */
    end(self, PYGEN_RETURN);
    Py_RETURN_NONE;
}

static int step_traverse(Step *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->iterator);
    Py_VISIT(self->filling);
    Py_VISIT(self->stop);
    return 0;
}

static int step_clear(Step *self)
{
    end(self, PYGEN_ERROR);
    Py_CLEAR(self->stop);
    return 0;
}

static void step_dealloc(Step *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    step_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef step_methods[] = {
    {"send", (PyCFunction)step_send_method, METH_O, PyDoc_STR("Step, as a coroutine.")},
    {"throw", (PyCFunction)step_throw, METH_VARARGS, PyDoc_STR("Raise where it waits, as in a coroutine.")},
    {"close", (PyCFunction)step_close, METH_NOARGS, PyDoc_STR("End without a packet, as a coroutine.")},
    {NULL},
};

static PyType_Slot step_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("One step of a PacketIterator: an awaitable with a coroutine's methods.")},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, step_send},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, step_next},
    {Py_tp_methods, step_methods},
    {Py_tp_traverse, step_traverse},
    {Py_tp_clear, step_clear},
    {Py_tp_dealloc, step_dealloc},
    {0, NULL},
};

static PyType_Spec step_spec = {
    .name = "aiotun._speedups.Step",
    .basicsize = sizeof(Step),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = step_slots,
};

/* --- PacketIterator ---------------------------------------------------------------------------------------- */

/* Let go of the packet that the last step gave: the interpreter has it by now. What somebody else kept stays whole. */
static void forget_packet(Step *step)
{
    if (step->stop != NULL && is_free(step->stop))
        Py_CLEAR(((PyStopIterationObject *)step->stop)->value);
}

static Step *iterator_step(Iterator *self)
{
    Step *step = self->spare;

    if (step != NULL && is_free((PyObject *)step)) {
        Py_INCREF(step); /* what follows may run code that asks for a step too */
        if (step->phase != DONE)
            end(step, PYGEN_RETURN); /* it was never awaited to its end */
        forget_packet(step);
    } else {
        step = PyObject_GC_New(Step, self->state->step_type);
        if (step == NULL)
            return NULL;
        step->filling = step->stop = NULL;
        step->iterator = NULL;
        PyObject_GC_Track(step);
#ifndef Py_GIL_DISABLED
        Py_XSETREF(self->spare, (Step *)Py_NewRef((PyObject *)step));
#endif
    }
    step->phase = NEW;
    step->running = 0;
    step->iterator = (Iterator *)Py_NewRef((PyObject *)self);
    return step;
}

static PyObject *iterator_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"pop", "fill", NULL};
    PyObject *pop, *fill;
    Iterator *self;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO:PacketIterator", names, &pop, &fill))
        return NULL;
    self = (Iterator *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->state = PyType_GetModuleState(type);
    self->pop = Py_NewRef(pop);
    if (PyCFunction_CheckExact(pop)) {
        PyObject *held = PyCFunction_GET_SELF(pop);
        if (held != NULL && PyList_CheckExact(held) && strcmp(((PyCFunctionObject *)pop)->m_ml->ml_name, "pop") == 0)
            self->held = held;
    }
    self->fill = Py_NewRef(fill);
    return (PyObject *)self;
}

static int iterator_traverse(Iterator *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->pop);
    Py_VISIT(self->fill);
    Py_VISIT(self->spare);
    return 0;
}

static int iterator_clear(Iterator *self)
{
    self->held = NULL;
    Py_CLEAR(self->pop);
    Py_CLEAR(self->fill);
    Py_CLEAR(self->spare);
    return 0;
}

static void iterator_dealloc(Iterator *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    iterator_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(iterator_doc,
"PacketIterator(pop, fill)\n"
"--\n"
"\n"
"``async for packet in endpoint``: packets one by one, out of the batch that was read ahead.\n"
"\n"
"Ends when the endpoint is closed; raises DeviceGone when the device is deleted.");

static PyType_Slot iterator_slots[] = {
    {Py_tp_doc, (void *)iterator_doc},
    {Py_tp_new, iterator_new},
    {Py_am_aiter, PyObject_SelfIter},
    {Py_am_anext, iterator_step},
    {Py_tp_traverse, iterator_traverse},
    {Py_tp_clear, iterator_clear},
    {Py_tp_dealloc, iterator_dealloc},
    {0, NULL},
};

static PyType_Spec iterator_spec = {
    .name = "aiotun._speedups.PacketIterator",
    .basicsize = sizeof(Iterator),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = iterator_slots,
};

int iterator_exec(PyObject *module, State *state)
{
    state->step_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &step_spec, NULL);
    if (state->step_type == NULL)
        return -1;
    state->iterator_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &iterator_spec, NULL);
    if (state->iterator_type == NULL)
        return -1;
    return PyModule_AddType(module, state->iterator_type);
}
