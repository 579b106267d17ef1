"""`prange`: the loop of a kernel whose rounds all threads share.

Numba has a `prange` of its own for functions that are compiled with `parallel=True`. It takes such a loop out of its function,
compiles it as another one, and compiles it again as a part of the first: more than half of the time that a cold start took.
Here a kernel remains one plain function, compiled once. Its threads all call it, and each does its share of the rounds:

    def kernel(x, y):                          called from Python           called by thread 1 of 2, from there
        sizes, offsets, ...                    computed                     computed again: it is little
        for task in prange(count):             no rounds of its own:        the rounds count // 2, …, count − 1
            ...                                two threads call the kernel

So a kernel has one `prange`, which is its last statement, and writes nothing before it (tests/test_architecture.py). Numba starts the
threads, and wakes them here by the same function as for its own loops (numba/np/ufunc/parallel.py).

A thread's share reaches the kernel in a place that every compiled function has and no kernel uses before it returns: the memory
for its result. A mark says that it is a share; what Python's call leaves there is not one.
"""

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

MARK = 0x5CA7  # in the upper 16 bits of a share; the number of the thread, and of how many it is one, have 24 bits each
BITS = 24

_WORD, _CODE = ir.IntType(64), ir.IntType(32)
_BYTES = ir.IntType(8).as_pointer()
# What Numba's threads call: (the arguments, how many calls there are to make, the size of a step of each argument, data).
_CALLED = ir.FunctionType(ir.VoidType(), [_BYTES.as_pointer(), _WORD.as_pointer(), _WORD.as_pointer(), _BYTES])


def _prange_code(typingctx, count):
    """range(count) for a kernel: the share of the thread that runs it."""
    signature = types.range_state64_type(types.int64)

    def generate(context, builder, signature, arguments):
        (count,) = arguments
        first, end = (cgutils.alloca_once_value(builder, value) for value in (_WORD(0), count))
        share = builder.ptrtoint(builder.load(builder.function.args[0]), _WORD)
        with builder.if_else(builder.icmp_unsigned("==", builder.lshr(share, _WORD(2 * BITS)), _WORD(MARK))) as (
            of_a_thread,
            from_python,
        ):
            with of_a_thread:
                number = builder.and_(share, _WORD((1 << BITS) - 1))
                of = builder.and_(builder.lshr(share, _WORD(BITS)), _WORD((1 << BITS) - 1))
                builder.store(builder.udiv(builder.mul(count, number), of), first)
                builder.store(builder.udiv(builder.mul(count, builder.add(number, _WORD(1))), of), end)
            with from_python:
                threads = builder.zext(_function(builder, "get_num_threads", _CODE, [])(), _WORD)
                shares = builder.select(builder.icmp_signed("<", count, threads), count, threads)
                with builder.if_then(builder.icmp_signed(">", shares, _WORD(1))):
                    _run_on_threads(context, builder, shares, threads)
                    builder.store(_WORD(0), end)
        make = context.typing_context.resolve_value_type(range)
        of_two = make.get_call_type(context.typing_context, (types.int64, types.int64), {})
        return context.get_function(make, of_two)(builder, [builder.load(first), builder.load(end)])

    return signature, generate


prange = range if numba.config.DISABLE_JIT else intrinsic(_prange_code)


def _function(builder, name, result, arguments):
    """A function of Numba's threads, to be called with values."""
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)
    return lambda *values: builder.call(function, values)


def _run_on_threads(context, builder, shares, threads):
    """Has threads call the kernel that is being compiled, with its arguments, once for each share; then an error of theirs is its own.

    Numba keeps the number of threads that it is given for its next loops: it is that of all, not only of those that have a share.
    """
    kernel = builder.function
    _, error, *given = kernel.args
    values = [_CODE(0), ir.Constant(error.type.pointee, None), shares, *given]
    packed = cgutils.alloca_once(builder, ir.LiteralStructType([value.type for value in values]))
    for position, value in enumerate(values):
        builder.store(value, cgutils.gep_inbounds(builder, packed, 0, position))
    data = builder.bitcast(packed, _BYTES)
    # The only argument is an address that moves on by one from call to call: its distance from data is the thread's number.
    arguments, steps, calls = (cgutils.alloca_once_value(builder, value) for value in (data, _WORD(1), shares))
    _function(builder, "numba_parallel_for", ir.VoidType(), [_BYTES] * 5 + [_WORD] * 3)(
        builder.bitcast(_share_of(kernel, packed.type), _BYTES),
        *(builder.bitcast(place, _BYTES) for place in (arguments, calls, steps)),
        data,
        _WORD(0),
        _WORD(1),
        threads,
    )
    code, what = (builder.load(cgutils.gep_inbounds(builder, packed, 0, position)) for position in (0, 1))
    with cgutils.if_unlikely(builder, builder.icmp_unsigned("!=", code, _CODE(0))):
        builder.store(what, error)
        builder.ret(code)


def _share_of(kernel, packed):
    """The function that a thread runs: it calls the kernel with the arguments in `packed` and the share of the thread's number."""
    function = ir.Function(kernel.module, _CALLED, f"{kernel.name}.share")
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    here, calls, _, data = function.args
    code_at, error_at, shares_at, *given_at = (
        cgutils.gep_inbounds(builder, builder.bitcast(data, packed), 0, position)
        for position in range(len(packed.pointee.elements))
    )
    given = [builder.load(place) for place in given_at]
    memory, error = (cgutils.alloca_once(builder, kernel.args[position].type.pointee) for position in (0, 1))
    first = builder.sub(builder.ptrtoint(builder.load(here), _WORD), builder.ptrtoint(data, _WORD))
    of = builder.or_(_WORD(MARK << 2 * BITS), builder.shl(builder.load(shares_at), _WORD(BITS)))
    with cgutils.for_range(builder, builder.load(calls)) as loop:
        share = builder.or_(of, builder.add(first, loop.index))
        builder.store(builder.inttoptr(share, memory.type.pointee), memory)
        code = builder.call(kernel, [memory, error, *given])
        with cgutils.if_unlikely(builder, builder.icmp_signed(">", code, _CODE(0))):
            builder.store(code, code_at)
            builder.store(builder.load(error), error_at)
    builder.ret_void()
    return function
