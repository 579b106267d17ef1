"""Pieces of LLVM's code from which kernels make what no compiler finds by itself: loops whose sums stay in registers.

An intrinsic of Numba's generates code when a kernel that calls it is compiled. Its arguments are arrays and numbers; what is
loaded, stored, multiplied and added here are whole vectors of neighbouring numbers.
"""

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from scratchnet.kernels.machine.vectors import lanes

INDEX = ir.IntType(64)


class Vectors:
    """Vectors in the flat arrays that an intrinsic was given, all as long as those of `like`, the position of an array of floats."""

    def __init__(self, context, builder, signature, arguments, like):
        self.context, self.builder, self.signature, self.arguments = context, builder, signature, arguments
        dtype = signature.args[like].dtype
        self.scalar, self.count = context.get_value_type(dtype), lanes(dtype.name)
        self.kind = self.of(self.scalar)

    def of(self, scalar):
        """The type of a vector of such numbers."""
        return ir.VectorType(scalar, self.count)

    def array(self, position):
        """The array at this position of the arguments, with `shape` and `data`, the pointer to its first number."""
        make = self.context.make_array(self.signature.args[position])
        return make(self.context, self.builder, self.arguments[position])

    def at(self, position, place):
        """A pointer to one number of an array."""
        return self.builder.gep(self.array(position).data, [place])

    def along(self, position, start, step, count):
        """Pointers to `count` numbers of an array, each reached from the one before."""
        pointer = self.at(position, start)
        for _ in range(count):
            yield pointer
            pointer = self.builder.gep(pointer, [step])

    def load(self, pointer, further=0):
        """The vector that begins at a number, or the one that lies so many vectors further on."""
        return self.builder.load(self._place(pointer, further), align=self._alignment(pointer))

    def store(self, vector, pointer, further=0):
        """Writes the vector there."""
        self.builder.store(vector, self._place(pointer, further), align=self._alignment(pointer))

    def _place(self, pointer, further):
        pointer = self.builder.bitcast(pointer, self.of(pointer.type.pointee).as_pointer())
        return self.builder.gep(pointer, [INDEX(further)]) if further else pointer

    def _alignment(self, pointer):
        """That of one number: a vector may begin at any."""
        return pointer.type.pointee.get_abi_alignment(self.context.target_data)

    def constant(self, number, scalar=None):
        """The vector that holds a number, known when the kernel is compiled, in each of its places."""
        return ir.Constant(self.of(scalar or self.scalar), [number] * self.count)

    def everywhere(self, number):
        """The vector that holds a number in each of its places."""
        nothing, first = ir.Constant(self.of(number.type), ir.Undefined), ir.IntType(32)(0)
        places = self.constant(0, ir.IntType(32))
        return self.builder.shuffle_vector(self.builder.insert_element(nothing, number, first), nothing, places)


def multiply_add(builder, one, other, total):
    """total + one · other: one instruction where the machine has a fused one, two elsewhere."""
    return builder.fadd(total, builder.fmul(one, other, flags=("contract",)), flags=("contract",))


def loop(builder, start, stop, at_first, step):
    """The values that are left when `step(k, values)` has made new values of them for each start ≤ k < stop, in registers."""
    before = builder.block
    inside, after = builder.append_basic_block("loop"), builder.append_basic_block("after_loop")
    builder.cbranch(builder.icmp_signed("<", start, stop), inside, after)
    builder.position_at_end(inside)
    k, values = builder.phi(INDEX), [builder.phi(value.type) for value in at_first]
    new, next_k = step(k, values), builder.add(k, INDEX(1))
    end = builder.block  # another one than `inside`, if step has made blocks
    builder.cbranch(builder.icmp_signed("<", next_k, stop), inside, after)
    builder.position_at_end(after)
    left = [builder.phi(value.type) for value in at_first]
    firsts, seconds = [start, *at_first, *at_first], [next_k, *new, *new]
    for phi, first, again in zip([k, *values, *left], firsts, seconds, strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(again, end)
    return left


@intrinsic
def copy_numbers(typingctx, source, start, target, place, count):
    """target[place : place + count] = source[start : start + count], as if both were flat.

    The arrays are contiguous, of one dtype, and share no memory.
    """
    signature = types.void(source, types.intp, target, types.intp, types.intp)

    def generate(context, builder, signature, arguments):
        numbers = Vectors(context, builder, signature, arguments, like=0)
        size = context.get_abi_sizeof(numbers.scalar)
        cgutils.raw_memcpy(builder, numbers.at(2, arguments[3]), numbers.at(0, arguments[1]), arguments[4], size)
        return context.get_dummy_value()

    return signature, generate


def prefetch_in_numpy(array, place):
    """The twin of what follows, which does nothing, where Numba is switched off."""


def _prefetch_code(typingctx, array, place):
    """Asks memory for the cache line of array[place], as if the contiguous array were flat, before it is read. It changes no result."""
    signature = types.void(array, types.intp)

    def generate(context, builder, signature, arguments):
        line = Vectors(context, builder, signature, arguments, like=0).at(0, arguments[1])
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [line.type, number, number, number])
        to_be_read, keep, data_cache = number(0), number(3), number(1)
        function = builder.module.declare_intrinsic("llvm.prefetch", [line.type], kind)
        builder.call(function, [line, to_be_read, keep, data_cache])
        return context.get_dummy_value()

    return signature, generate


prefetch = prefetch_in_numpy if numba.config.DISABLE_JIT else intrinsic(_prefetch_code)
