/* Arguments by position and by name, and the way back to the form in Python. */
#include "speedups.h"

int match_arguments(const char *const known[], Py_ssize_t most, PyObject *const *args, Py_ssize_t positional,
                    PyObject *names, PyObject *found[])
{
    Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);

    if (positional > most)
        return -1;
    for (Py_ssize_t i = 0; i < most; i++)
        found[i] = i < positional ? args[i] : NULL;
    for (Py_ssize_t i = 0; i < named; i++) {
        Py_ssize_t which = positional;
        while (which < most && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, i), known[which]) != 0)
            which++;
        if (which == most || found[which] != NULL)
            return -1;
        found[which] = args[positional + i];
    }
    return found[0] == NULL ? -1 : 0;
}

int match_flag(PyObject *value, int *flag)
{
    int found = value == NULL ? *flag : PyObject_IsTrue(value);

    if (found < 0)
        return -1;
    *flag = found;
    return 0;
}

int match_number(PyObject *value, Py_ssize_t *number)
{
    if (value == NULL)
        return 1;
    if (!PyLong_Check(value))
        return 0;
    *number = PyNumber_AsSsize_t(value, NULL); /* the nearest there is */
    return 1;
}

PyObject *call_form(const char *name, PyObject *const *args, Py_ssize_t positional, PyObject *names)
{
    PyObject *module = PyImport_ImportModule("aiotun.speedups"), *pure = NULL, *form = NULL, *result = NULL;

    if (module != NULL)
        pure = PyObject_GetAttrString(module, "pure");
    if (pure != NULL)
        form = PyMapping_GetItemString(pure, name);
    if (form != NULL)
        result = PyObject_Vectorcall(form, args, (size_t)positional, names);
    Py_XDECREF(module);
    Py_XDECREF(pure);
    Py_XDECREF(form);
    return result;
}
