// SPDX-License-Identifier: MIT
// Instructions, functions and modules as the parser leaves them and the machine runs them.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace ptxvm {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
[[noreturn]] inline void fail(const std::string& message) { throw Error(message); }

enum class Type : uint8_t {
  None,
  B8,
  B16,
  B32,
  B64,
  B128,
  U8,
  U16,
  U32,
  U64,
  S8,
  S16,
  S32,
  S64,
  F16,
  F16x2,
  BF16,
  BF16x2,
  TF32,
  F32,
  F64,
  E4M3x2,
  E5M2x2,
  U16x2,
  S16x2,
  Pred
};
enum class Space : uint8_t { Generic, Global, Shared, Local, Param, FrameParam, Const };
enum class Rnd : uint8_t { None, RN, RZ, RM, RP, RNA, RNI, RZI, RMI, RPI };
enum class Cmp : uint8_t { EQ, NE, LT, LE, GT, GE, EQU, NEU, LTU, LEU, GTU, GEU, NUM, NAN_ };

int typeBytes(Type t);
const char* typeName(Type t);
inline bool isSigned(Type t) { return t >= Type::S8 && t <= Type::S64; }
inline bool isFloat(Type t) { return t >= Type::F16 && t <= Type::F64; }
inline bool isHalf(Type t) { return t >= Type::F16 && t <= Type::BF16x2; }

// How the main loop treats an instruction; Plain ones just call their handler and go on.
enum class Ctl : uint8_t {
  Plain,
  Branch,
  BranchIndexed,
  Return,
  Exit,
  Call,
  WarpSync,
  BlockBarrier,
  Yield
};

// Counting classes, in the order of ptxvm_stats.
enum class Class : uint8_t {
  Int,
  F16,
  F32,
  F64,
  Mma,
  Global,
  Shared,
  Other,
  Shuffle,
  Atomic,
  Control,
  Count
};

// Operand kinds 0 and 1 index Warp::base, so that register and constant operands are read alike.
struct Operand {
  enum Kind : uint8_t { Reg = 0, Const = 1, None, Imm, Pred, Sink, Vec, Addr, Symbol, Clock };
  Kind kind = None;
  uint8_t bytes = 0;    // width of a register's slot per lane: 4, 8 or 16 (16-bit registers use 4)
  bool negate = false;  // !predicate
  bool isFloat = false;  // a 0f/0d literal
  int32_t off = 0;    // Reg/Const: byte offset; Pred: index; Vec: first element in Function::vec;
                      // Symbol: index
  int32_t count = 0;  // Vec: elements
  int32_t pair = -1;  // predicate written after '|'
  uint64_t imm = 0;   // literal, or an address's displacement
};

struct Warp;
struct Machine;
struct Ins;
using Handler = void (*)(Machine&, Warp&, const Ins&, uint32_t mask);

struct Ins {
  Handler fn = nullptr;
  Ctl ctl = Ctl::Plain;
  Class cls = Class::Int;
  Type t = Type::None, t2 = Type::None, t3 = Type::None, t4 = Type::None;
  Space space = Space::Generic;
  Rnd rnd = Rnd::None;
  Cmp cmp = Cmp::EQ;
  uint8_t vec = 1;
  uint8_t sub = 0;     // per opcode: atomic operation, shuffle mode, prmt mode, ...
  uint8_t boolOp = 0;  // setp: 1 and, 2 or, 3 xor
  uint8_t nops = 0;
  bool ftz = false, sat = false, relu = false, nan = false, xorsign = false;
  bool hi = false, wide = false, carryOut = false, carryIn = false;
  bool strong = false;  // volatile, relaxed, acquire, release: outside the race check
  bool aligned = false, counted = false, predNegate = false;
  int32_t pred = -1;
  int32_t target = -1;  // branch target, or index into Function::tables / Function::calls
  Operand o[6];
};

// What only error messages and profiles need.
struct InsInfo {
  int line = 0;                        // line in the PTX text
  int file = 0;                        // .loc file number
  int srcLine = 0;                     // .loc line in the .cu file
  int callerFile = 0, callerLine = 0;  // where that line was inlined
  std::string text;
};

struct Variable {
  std::string name;
  size_t bytes = 0, align = 1;
  uint64_t addr = 0;
  Space space = Space::Global;
  bool dynamicShared = false;
};

enum class Builtin : uint8_t { None, Printf, AssertFail, Malloc, Free };

struct CallSite {
  std::string callee;                                       // empty: through a register
  std::vector<int32_t> argOff, argBytes, retOff, retBytes;  // in the caller's parameter area
};

struct Function {
  std::string name;
  bool entry = true, defined = false, makesCalls = false;
  Builtin builtin = Builtin::None;
  int index = -1;
  std::vector<Variable> params, returns;
  size_t paramBytes = 0;       // entry: the kernel's parameter buffer
  size_t frameParamBytes = 0;  // .param space per lane: own parameters, results and call sequences
  size_t sharedBytes = 0, localBytes = 0;
  size_t regBytes = 0;
  int predicates = 0;
  int maxThreads = 0;
  int liveRegisters = 0;
  std::vector<Ins> code;
  std::vector<InsInfo> info;
  std::vector<Operand> vec;              // elements of { } operands
  std::vector<std::vector<int>> tables;  // brx.idx
  std::vector<CallSite> calls;
  std::vector<char> consts;  // 32 copies of each literal, as a register would hold it
  struct FrameInit {
    int32_t off;
    uint64_t localOffset;
  };
  std::vector<FrameInit> localSymbols;  // registers that hold addresses of .local variables
  int32_t special[32];  // byte offset of each special register's slot, -1 if unused
  int32_t sink = 0;
};

// Special registers that are constant for a thread; the others (%clock) are Operand::Clock.
enum Special : uint8_t {
  SpTidX,
  SpTidY,
  SpTidZ,
  SpNtidX,
  SpNtidY,
  SpNtidZ,
  SpCtaX,
  SpCtaY,
  SpCtaZ,
  SpNctaX,
  SpNctaY,
  SpNctaZ,
  SpLane,
  SpWarp,
  SpNwarp,
  SpMaskEq,
  SpMaskLt,
  SpMaskLe,
  SpMaskGt,
  SpMaskGe,
  SpSmid,
  SpNsmid,
  SpGridId,
  SpDynShared,
  SpTotalShared,
  SpClusterOne,
  SpZero,
  SpCount
};

struct Module {
  std::string name;
  int sm = 0;
  std::map<std::string, std::unique_ptr<Function>> functions;
  std::vector<Function*> byIndex;
  std::map<std::string, Variable> globals;
  std::vector<std::unique_ptr<char[]>> storage;
  std::map<int, std::string> files;
  size_t sharedBytes = 0;  // module-scope .shared variables, placed from offset 0
};

// Generic addresses: the top byte tells the window; global memory is plain host memory.
constexpr uint64_t kWindowMask = 0xff00000000000000ull;
constexpr uint64_t kSharedWindow = 0x0100000000000000ull;
constexpr uint64_t kLocalWindow = 0x0200000000000000ull;
constexpr uint64_t kParamWindow = 0x0300000000000000ull;
constexpr uint64_t kFunctionWindow = 0x0400000000000000ull;

// Static shared memory never exceeds 48 KiB, so dynamic shared memory can start there in every
// kernel.
constexpr uint64_t kDynamicBase = 48 * 1024;

}  // namespace ptxvm
