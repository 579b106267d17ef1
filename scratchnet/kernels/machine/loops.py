"""`prange`: the loop of a kernel whose rounds all threads share.

Numba has a `prange` of its own for functions that are compiled with `parallel=True`. It takes such a loop out of its function,
compiles it as another one, and compiles it again as a part of the first: more than half of the time that a cold start took.
Here a kernel remains one plain function, compiled once. Threads call it again and again, each time for a run of rounds:

    def kernel(x, y):                          called from Python           called by a thread, from there
        sizes, offsets, ...                    computed                     computed again: it is little
        for task in prange(count):             no rounds of its own:        the rounds that the thread has taken
            ...                                threads call the kernel

So a kernel has one `prange`, which is its last statement, and writes nothing before it (tests/test_architecture.py). Numba starts the
threads, and wakes them here by the same function as for its own loops (numba/np/ufunc/parallel.py).

`prange(count, enough)` shares the rounds among one thread for each `enough` of them. To wake the others takes 10 to 40 µs where nothing
else runs, and milliseconds where something does; a kernel that would take less than twice that runs on the thread that has called it.

A thread that is free takes 1 / (2 · threads) of the rounds that are left, and at last single rounds ("guided self-scheduling",
Polychronopoulos & Kuck 1987). So all end at nearly the same time, also where one thread was woken
late, had to share its processor with another program, or runs on a core of the slower kind that many laptops have. No bit
of a result depends on who computes a round.

What a thread has taken reaches the kernel in a place that every compiled function has and no kernel uses before it returns: the
memory for its result. A mark says that it is the address of two numbers, the first round and the end; what Python's call
leaves there is not one.
"""

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from scratchnet.kernels.machine.denormals import read_rules, write_rules

ADDRESS = 48  # bits of an address that a program uses
MARK = 0x5CA7  # in the bits above

_WORD, _CODE = ir.IntType(64), ir.IntType(32)
_ROUNDS = ir.LiteralStructType([_WORD, _WORD])  # the first, and the end
_BYTES = ir.IntType(8).as_pointer()
# What Numba's threads call: (the arguments, how many calls there are to make, the size of a step of each argument, data).
_CALLED = ir.FunctionType(ir.VoidType(), [_BYTES.as_pointer(), _WORD.as_pointer(), _WORD.as_pointer(), _BYTES])


def _prange_code(typingctx, count, enough=1):
    """range(count) for a kernel: the rounds that the thread has taken which runs it. enough: rounds that are worth another thread."""
    signature = types.range_state64_type(types.int64, types.int64)

    def generate(context, builder, signature, arguments):
        count, enough = arguments
        first, end = (cgutils.alloca_once_value(builder, _WORD(0)) for _ in range(2))
        given = builder.ptrtoint(builder.load(builder.function.args[0]), _WORD)
        marked = builder.icmp_unsigned("==", builder.lshr(given, _WORD(ADDRESS)), _WORD(MARK))
        with builder.if_else(marked) as (of_a_thread, from_python):
            with of_a_thread:
                address = builder.and_(given, _WORD((1 << ADDRESS) - 1))
                taken = builder.inttoptr(address, _ROUNDS.as_pointer())
                for position, place in enumerate((first, end)):
                    builder.store(builder.load(cgutils.gep_inbounds(builder, taken, 0, position)), place)
            with from_python:
                threads = builder.zext(_function(builder, "get_num_threads", _CODE, [])(), _WORD)
                _run_on_threads(builder, count, builder.sdiv(count, enough), threads)
        make = context.typing_context.resolve_value_type(range)
        of_two = make.get_call_type(context.typing_context, (types.int64, types.int64), {})
        return context.get_function(make, of_two)(builder, [builder.load(first), builder.load(end)])

    return signature, generate


def _prange_in_python(count, enough=1):
    """Its twin where Numba is switched off."""
    return range(count)


prange = _prange_in_python if numba.config.DISABLE_JIT else intrinsic(_prange_code)


def _function(builder, name, result, arguments):
    """A function of Numba's threads, to be called with values."""
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)
    return lambda *values: builder.call(function, values)


def _run_on_threads(builder, count, worth, threads):
    """Has threads call the kernel that is being compiled, with its arguments, until no round is left; then an error of theirs is its own.

    As many threads as the rounds are worth. Numba keeps the number that it is given for its next loops: it is that of all, also
    where fewer have work. A single one needs nobody to be woken.
    """
    kernel = builder.function
    _, error, *given = kernel.args
    calls = builder.select(builder.icmp_signed("<", worth, threads), worth, threads)
    several = builder.icmp_signed(">", calls, _WORD(1))
    parts = builder.select(several, builder.shl(calls, _WORD(1)), _WORD(1))
    values = [_CODE(0), ir.Constant(error.type.pointee, None), _WORD(0), count, parts, *given]
    packed = cgutils.alloca_once(builder, ir.LiteralStructType([value.type for value in values]))
    for position, value in enumerate(values):
        builder.store(value, cgutils.gep_inbounds(builder, packed, 0, position))
    sizes, steps = (cgutils.alloca_once_value(builder, value) for value in (calls, _WORD(0)))
    thread = _thread(kernel, packed.type)
    told = [builder.bitcast(packed, _BYTES.as_pointer()), sizes, steps, builder.bitcast(packed, _BYTES)]
    with builder.if_else(several) as (woken, this_one):
        with woken:
            wake = _function(builder, "numba_parallel_for", ir.VoidType(), [_BYTES] * 5 + [_WORD] * 3)
            wake(*(builder.bitcast(place, _BYTES) for place in (thread, *told)), _WORD(0), _WORD(0), threads)
        with this_one:
            builder.call(thread, told)
    code, what = (builder.load(cgutils.gep_inbounds(builder, packed, 0, position)) for position in (0, 1))
    with cgutils.if_unlikely(builder, builder.icmp_unsigned("!=", code, _CODE(0))):
        builder.store(what, error)
        builder.ret(code)


def _thread(kernel, packed):
    """The function that a thread runs: it takes rounds, and calls the kernel for them, until none is left. packed: the type of the
    arguments.

    A round that raises an error never comes to its `restore`, so that the rules of the thread's arithmetic are restored here.
    """
    function = ir.Function(kernel.module, _CALLED, f"{kernel.name}.thread")
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    take, run, failed, done = (function.append_basic_block(name) for name in ("take", "run", "failed", "done"))
    code_at, error_at, next_at, count_at, parts_at, *given_at = (
        cgutils.gep_inbounds(builder, builder.bitcast(function.args[3], packed), 0, position)
        for position in range(len(packed.pointee.elements))
    )
    count, parts, *given = (builder.load(place) for place in (count_at, parts_at, *given_at))
    memory, error = (cgutils.alloca_once(builder, kernel.args[position].type.pointee) for position in (0, 1))
    rounds = cgutils.alloca_once(builder, _ROUNDS)
    mark = builder.or_(builder.ptrtoint(rounds, _WORD), _WORD(MARK << ADDRESS))
    rules = read_rules(builder)
    builder.branch(take)

    builder.position_at_end(take)
    first = builder.load_atomic(next_at, "monotonic", 8)
    left = builder.sub(count, first)
    part = builder.sdiv(left, parts)
    part = builder.select(builder.icmp_signed(">", part, _WORD(1)), part, _WORD(1))
    end = builder.add(first, part)
    with builder.if_then(builder.icmp_signed("<=", left, _WORD(0)), likely=False):
        builder.branch(done)
    taken = builder.extract_value(builder.cmpxchg(next_at, first, end, "monotonic", "monotonic"), 1)
    builder.cbranch(taken, run, take)  # another thread may have been quicker

    builder.position_at_end(run)
    for position, value in enumerate((first, end)):
        builder.store(value, cgutils.gep_inbounds(builder, rounds, 0, position))
    builder.store(builder.inttoptr(mark, memory.type.pointee), memory)
    code = builder.call(kernel, [memory, error, *given])
    builder.cbranch(builder.icmp_signed(">", code, _CODE(0)), failed, take)

    builder.position_at_end(failed)
    write_rules(builder, rules)
    builder.store(code, code_at)
    builder.store(builder.load(error), error_at)
    builder.branch(done)

    builder.position_at_end(done)
    builder.ret_void()
    return function
