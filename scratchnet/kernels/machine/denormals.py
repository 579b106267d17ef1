"""Denormal numbers count as zero inside kernels, so that they cost no time.

A float32 below 1.2e-38 that is not zero is *denormal*: its leading digit is 0. Many processors multiply such a number a
hundred times as slowly as another. They do occur: gradients of a loss near zero, products of small numbers. Each task of
a kernel that multiplies weights or gradients therefore begins and ends with

    rules = flush_denormals()
    ...
    restore(rules)

The first asks the processor to read denormal numbers as zero and to write zero in their place (x86: the bits DAZ and FTZ
of MXCSR; ARM: the bit FZ of FPCR), the second restores what was there: these rules belong to a thread, and NumPy in
the same thread keeps its own. A task that raises an error does not come to its end; then `loops.py` restores them. On other
processors nothing is done. The optimisers see to it that no weight stays denormal in memory (`update.py`).

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, section 10.2.3; Arm Architecture
Reference Manual for A-profile, FPCR.
"""

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from scratchnet.kernels.machine.jit import helper
from scratchnet.kernels.machine.vectors import ARM64, X86

DAZ_AND_FTZ = 0x8040  # bits 6 and 15 of MXCSR
FZ = 1 << 24  # bit 24 of FPCR

_BYTE_POINTER, _REGISTER = ir.IntType(8).as_pointer(), ir.IntType(64)


def _call(builder, name, arguments, result):
    """A call of one of LLVM's functions for one family of processors."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(builder.module.globals.get(name) or ir.Function(builder.module, kind, name), arguments)


def read_rules(builder):
    """The control register of this thread's arithmetic, as 64 bits.

    Its place on the stack is made once, at the kernel's beginning (`alloca_once`). Made anew in each task, it would make
    LLVM keep sums of the register tile in memory: forward took 15 % longer (Zen 4, 338 against 290 ms).
    """
    if ARM64:
        return _call(builder, "llvm.aarch64.get.fpcr", [], _REGISTER)
    if not X86:
        return _REGISTER(0)
    slot = cgutils.alloca_once(builder, ir.IntType(32))
    _call(builder, "llvm.x86.sse.stmxcsr", [builder.bitcast(slot, _BYTE_POINTER)], ir.VoidType())
    return builder.zext(builder.load(slot), _REGISTER)


def write_rules(builder, rules):
    """Gives the register what `read_rules` has read."""
    if ARM64:
        _call(builder, "llvm.aarch64.set.fpcr", [rules], ir.VoidType())
    elif X86:
        slot = cgutils.alloca_once(builder, ir.IntType(32))
        builder.store(builder.trunc(rules, ir.IntType(32)), slot)
        _call(builder, "llvm.x86.sse.ldmxcsr", [builder.bitcast(slot, _BYTE_POINTER)], ir.VoidType())


def _flush_denormals_code(typingctx):
    """Makes this thread's arithmetic take denormal numbers for zero; returns the previous rules."""

    def generate(context, builder, signature, arguments):
        rules = read_rules(builder)
        write_rules(builder, builder.or_(rules, _REGISTER(FZ if ARM64 else DAZ_AND_FTZ)))
        return rules

    return types.uint64(), generate


def _restore_code(typingctx, rules):
    """Restores the rules that `flush_denormals` has returned."""

    def generate(context, builder, signature, arguments):
        write_rules(builder, arguments[0])
        return context.get_dummy_value()

    return types.void(types.uint64), generate


if numba.config.DISABLE_JIT:

    @helper
    def flush_denormals():
        """Does nothing here: denormal numbers are what they are."""
        return 0

    @helper
    def restore(rules):
        """Does nothing here."""

else:
    flush_denormals = intrinsic(_flush_denormals_code)
    restore = intrinsic(_restore_code)
