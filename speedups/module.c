/* The module aiotun._speedups: its state, and the functions and types of its parts. */
#include "speedups.h"

static int exec(PyObject *module)
{
    State *state = PyModule_GetState(module);
    PyObject *errors = PyImport_ImportModule("aiotun.errors");

    if (errors == NULL)
        return -1;
    state->device_closed = PyObject_GetAttrString(errors, "DeviceClosed");
    Py_DECREF(errors);
    if (state->device_closed == NULL || iterator_exec(module, state) < 0 || path_exec(module) < 0 ||
        superpacket_exec(state) < 0)
        return -1;
    PyMethodDef *parts[] = {
        checksum_functions,  batch_functions,      calls_functions,   fitness_functions,
        read_vnet_functions, write_vnet_functions, segment_functions, complete_functions,
        coalesce_functions,
#ifdef __linux__
        recv_datagrams_functions, send_datagrams_functions, packets_functions,
#endif
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(parts); i++)
        if (PyModule_AddFunctions(module, parts[i]) < 0)
            return -1;
    return 0;
}

static int traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);

    Py_VISIT(state->device_closed);
    Py_VISIT(state->iterator_type);
    Py_VISIT(state->step_type);
    Py_VISIT(state->super_type);
    for (int i = 0; i < SUPERS; i++)
        Py_VISIT(state->supers[i]);
    return 0;
}

static int clear(PyObject *module)
{
    State *state = PyModule_GetState(module);

    Py_CLEAR(state->device_closed);
    Py_CLEAR(state->iterator_type);
    Py_CLEAR(state->step_type);
    Py_CLEAR(state->super_type);
    for (int i = 0; i < SUPER_FIELDS; i++)
        Py_CLEAR(state->super_names[i]);
    for (int i = 0; i < SUPERS; i++)
        Py_CLEAR(state->supers[i]);
    spares_clear(&state->read);
    spares_clear(&state->cut);
    return 0;
}

static void free_state(void *module)
{
    State *state = PyModule_GetState(module);

    clear(module);
    PyMem_RawFree(state->arena);
    state->arena = NULL;
    PyMem_RawFree(state->slots);
    state->slots = NULL;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "aiotun._speedups",
    .m_doc = PyDoc_STR("The hot functions of aiotun in C; each has a twin in Python of the same name."),
    .m_size = sizeof(State),
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = free_state,
};

PyMODINIT_FUNC PyInit__speedups(void)
{
    return PyModuleDef_Init(&definition);
}
