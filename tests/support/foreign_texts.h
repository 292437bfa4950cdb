// A small graph of our own in each of the formats that ir/foreign_graph.h reads.
#pragma once

namespace stint::fixtures {

///     a --> c --> e        b -> c, too
///     a --> d --> e
inline constexpr char kNodeLinkGraph[] = R"({"directed": true, "graph": {"name": "five"},
"nodes": [{"name": "a", "backward": false, "cost_cpu": 5, "cost_ram": 100, "id": 0},
 {"name": "b", "backward": false, "cost_cpu": 6, "cost_ram": 200, "id": 1},
 {"name": "c", "backward": false, "cost_cpu": 7, "cost_ram": 300, "id": 2},
 {"name": "d", "backward": false, "cost_cpu": 8, "cost_ram": 400, "id": 3},
 {"name": "e", "backward": true, "cost_cpu": 9.6, "cost_ram": 500, "id": 4}],
"links": [{"source": 0, "target": 2}, {"source": 1, "target": 2}, {"source": 0, "target": 3},
 {"source": 2, "target": 4}, {"source": 3, "target": 4}]})";

///     0 --> 2 --> 1
///     0 --> 3 --> 1
inline constexpr char kRandomLayeredGraph[] = R"({
"graph": {"name": "layers", "pos": {"0": [0, 0]}, "order": [0, 3, 2, 1]},
"nodes": [{"out_cost": 10, "duration": 1, "name": 0}, {"out_cost": 40, "duration": 4, "name": 1},
 {"out_cost": 20, "duration": 2, "name": 2}, {"out_cost": 30, "duration": 3, "name": 3}],
"links": [{"0": 0, "1": 2}, {"0": 0, "1": 3}, {"0": 2, "1": 1}, {"0": 3, "1": 1}]})";

///     conv(x, w) -> y, s      relu_(y)      v = view(y)      loss(v) -> l      backward(l) -> g
///
/// y and g still have names at the end.
inline constexpr char kDtrLog[] = R"({"INSTRUCTION":"RELEASE","NAME":"before"}
{"ANNOTATION":"START","INSTRUCTION":"ANNOTATE"}
{"INSTRUCTION":"CONSTANT","NAME":"w0"}
{"INSTRUCTION":"MEMORY","MEMORY":"1024","NAME":"w0"}
{"DST":"w","INSTRUCTION":"COPY","SRC":"w0"}
{"INSTRUCTION":"CONSTANT","NAME":"x"}
{"INSTRUCTION":"MEMORY","MEMORY":"4096","NAME":"x"}
{"INSTRUCTION":"RELEASE","NAME":"w0"}
{"INSTRUCTION":"RELEASE","NAME":"unheard of"}
{"ARGS":["x","w"],"INSTRUCTION":"CALL","NAME":"conv","RESULT":["y","s"],"TIME":"40"}
)"
                                  R"({"INSTRUCTION":"MEMORY","MEMORY":"4096","NAME":"y"}
{"ALIAS":"-1","INSTRUCTION":"ALIAS","NAME":"y"}
{"INSTRUCTION":"MEMORY","MEMORY":"512","NAME":"s"}
{"ALIAS":"-1","INSTRUCTION":"ALIAS","NAME":"s"}
{"ARGS":["y"],"INSTRUCTION":"MUTATE","MUTATE":[0],"NAME":"relu_","TIME":"10"}
{"ARGS":["y"],"INSTRUCTION":"CALL","NAME":"view","RESULT":["v"],"TIME":"1"}
{"INSTRUCTION":"MEMORY","MEMORY":"4096","NAME":"v"}
{"ALIAS":"0","INSTRUCTION":"ALIAS","NAME":"v"}
{"ARGS":["v"],"INSTRUCTION":"CALL","NAME":"loss","RESULT":["l"],"TIME":"5"}
{"INSTRUCTION":"MEMORY","MEMORY":"4","NAME":"l"}
{"ALIAS":"-1","INSTRUCTION":"ALIAS","NAME":"l"}
{"ANNOTATION":"BACKWARD","INSTRUCTION":"ANNOTATE"}
{"ARGS":["l","w"],"INSTRUCTION":"CALL","NAME":"loss_backward","RESULT":["g"],"TIME":"6"}
{"INSTRUCTION":"MEMORY","MEMORY":"1024","NAME":"g"}
{"ALIAS":"-1","INSTRUCTION":"ALIAS","NAME":"g"}
{"INSTRUCTION":"RELEASE","NAME":"l"}
{"INSTRUCTION":"RELEASE","NAME":"v"}
)";

///     conv(x, W) -> a      relu(a) -> b      concat(a, b) -> c
inline constexpr char kChainerGraph[] = R"(5 6
0 512 /conv/W
1 4096 _
2 2048 _
3 2048 _
4 4096 _
forward
2 1
2 _
3 _
4
Concat
{"axis": 1}
forward
2 1
1 _
0 _
2
Convolution2DFunction
{"sy": 1}
forward
1 1
2 _
3
ReLU
{}
backward
2 2
4 gradient
2 input
2
3
Concat
{"axis": 1}
backward
3 1
2 gradient
1 input
0 input
0
Convolution2DFunction
{"sy": 1}
backward
2 1
3 gradient
3 output
2
ReLU
{}
)";

///     op0 --> op1 --> op2        op1's output stays
inline constexpr char kCostGraph[] = R"(3 2 1536
1500.5 20 30
512 1024 0
0 1
1 2
1
1
)";

///     mm(x, w) -> a      view(a)      mm(a, x) -> g      adamw(w, g, m1, m2)
inline constexpr char kWholeStep[] = R"({"name": "tiny_step", "nf": 2, "nb": 3,
"ops": [{"name": "aten::mm", "i": [1, 2], "o": [11], "mut": [], "cost": 1500.5},
 {"name": "aten::t", "i": [1], "o": [], "mut": [], "cost": 0},
 {"name": "aten::mm", "i": [11, 1], "o": [12], "mut": [], "cost": 2000},
 {"name": "aten::_fused_adamw_", "i": [2, 12, 3, 4], "o": [], "mut": [2, 12, 3, 4], "cost": 1000}],
"sto": {"1": 2048, "2": 4096, "3": 4096, "4": 4096, "11": 1024, "12": 4096},
"role": {"2": "w", "3": "m", "4": "m", "12": "g"},
"persistent": ["1", "2", "3", "4", "12"]})";

}  // namespace stint::fixtures
