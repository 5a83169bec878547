// SPDX-License-Identifier: MIT
// What the instruction handlers share: decoding helpers and loops over the lanes.
#pragma once
#include <string>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "fp16.hpp"
#include "machine.hpp"

namespace ptxvm {

Type typeFromName(const std::string& name);

// Decodes one opcode: hands out the dotted words and complains about the ones nobody took.
struct Build {
  Ins& i;
  const std::string& full;
  std::vector<std::string> words;
  std::vector<bool> used;
  // Expected operands: slot width 4, 8 or 16, or one of the following.
  enum Want : int {
    AnyWidth = 0,
    Predicate = 1,
    Address = 2,
    Vector = 3,
    LabelOperand = 5,
    AnyOrVector = 6,
    Flexible = 7
  };
  std::vector<int> want;
  int optional = 0;  // how many of the last operands may be missing

  Build(Ins& ins, const std::string& text);
  bool take(const char* word);
  Type takeType();  // the first type not taken yet, or None
  Type needType();
  void ignore(std::initializer_list<const char*> list) {
    for (auto* w : list) take(w);
  }
  Rnd takeRounding(Rnd otherwise);
  [[noreturn]] void unsupported(const std::string& why = "");
  void finish();
};

using Builder = void (*)(Build&);
using OpTable = std::unordered_map<std::string, Builder>;
const OpTable& integerOps();
const OpTable& floatOps();  // what integer opcodes do not handle themselves
const OpTable& convertOps();
const OpTable& memoryOps();
const OpTable& warpOps();
const OpTable& controlOps();
// add, sub, mul, ... exist for integers and floats; exec_int.cpp calls this for the float types.
void buildFloatArithmetic(Build& b, Type t);
void buildFloatCompare(Build& b, Type t);
void chooseMemoryHandler(Ins& ins);  // exec_mem.cpp

inline int slotBytes(Type t) { return t == Type::B128 ? 16 : typeBytes(t) == 8 ? 8 : 4; }
inline Class floatClass(Type t) {
  return t == Type::F64 ? Class::F64 : t == Type::F32 || t == Type::TF32 ? Class::F32 : Class::F16;
}

// How a value of type T sits in its slot: 8- and 16-bit values use the low part of 32 bits.
template <class T>
using SlotOf = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
template <class T>
inline T fromSlot(SlotOf<T> s) {
  if constexpr (std::is_floating_point_v<T>)
    return std::bit_cast<T>(s);
  else
    return static_cast<T>(s);
}
template <class T>
inline SlotOf<T> toSlot(T v) {
  if constexpr (std::is_floating_point_v<T>)
    return std::bit_cast<SlotOf<T>>(v);
  else if constexpr (sizeof(T) < 4)
    return static_cast<std::make_unsigned_t<T>>(v);
  else
    return static_cast<SlotOf<T>>(v);
}

// d[l] = f(l) for the lanes of the mask. All lanes are computed (f must be harmless), which
// vectorises.
template <class D, class F>
inline void eachLane(Warp& w, const Operand& o, uint32_t mask, F&& f) {
  auto* d = slot<SlotOf<D>>(w, o);
  if (mask == ~0u) {
#pragma GCC ivdep
    for (int l = 0; l < 32; ++l) d[l] = toSlot<D>(f(l));
  } else {
#pragma GCC ivdep
    for (int l = 0; l < 32; ++l) {
      const auto r = toSlot<D>(f(l));
      d[l] = (mask >> l & 1) ? r : d[l];
    }
  }
}
// The same, computing only the active lanes: for expensive functions.
template <class D, class F>
inline void activeLanes(Warp& w, const Operand& o, uint32_t mask, F&& f) {
  auto* d = slot<SlotOf<D>>(w, o);
  forLanes(mask, [&](int l) { d[l] = toSlot<D>(f(l)); });
}

// Handlers for d = Op(a), Op(a, b), Op(a, b, c); Op::run is a pure function.
template <class Op, class D, class A>
void unary(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto* a = slot<SlotOf<A>>(w, i.o[1]);
  eachLane<D>(w, i.o[0], mask, [=](int l) { return Op::template run<D>(fromSlot<A>(a[l])); });
}
template <class Op, class D, class A, class B = A>
void binary(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto* a = slot<SlotOf<A>>(w, i.o[1]);
  const auto* b = slot<SlotOf<B>>(w, i.o[2]);
  eachLane<D>(w, i.o[0], mask,
              [=](int l) { return Op::template run<D>(fromSlot<A>(a[l]), fromSlot<B>(b[l])); });
}
template <class Op, class D, class A, class B = A, class C = A>
void ternary(Machine&, Warp& w, const Ins& i, uint32_t mask) {
  const auto* a = slot<SlotOf<A>>(w, i.o[1]);
  const auto* b = slot<SlotOf<B>>(w, i.o[2]);
  const auto* c = slot<SlotOf<C>>(w, i.o[3]);
  eachLane<D>(w, i.o[0], mask, [=](int l) {
    return Op::template run<D>(fromSlot<A>(a[l]), fromSlot<B>(b[l]), fromSlot<C>(c[l]));
  });
}

// Turns 32 comparison results into a lane mask.
template <class F>
inline uint32_t lanesWhere(F&& f) {
  uint8_t bit[32];
#pragma GCC ivdep
  for (int l = 0; l < 32; ++l) bit[l] = f(l) ? 1 : 0;
  uint32_t m = 0;
  for (int k = 0; k < 4; ++k) {  // eight bytes of 0 or 1 to eight bits
    uint64_t v;
    std::memcpy(&v, bit + 8 * k, 8);
    m |= static_cast<uint32_t>((v * 0x0102040810204080ull) >> 56) << (8 * k);
  }
  return m;
}

}  // namespace ptxvm
