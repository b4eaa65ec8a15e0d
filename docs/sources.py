"""Every formula of the five sources, in one notation: which rule has it, and which test holds it.

δ is ∂E/∂ of what a layer gives; ⋆ the valid cross-correlation, ∗ the convolution of mathematics.
Where a source is mistaken, or means something else by a word, the remark says so.
"""

from typing import NamedTuple


class Formula(NamedTuple):
    """A formula of a slide or section."""

    place: str
    formula: str
    rules: tuple[str, ...]
    test: str
    worked: str = ""
    remark: str = ""


class Source(NamedTuple):
    """A document."""

    author: str
    citation: str
    formulas: tuple[Formula, ...]


SOURCES_TEST = "tests/test_sources.py"
MODES = "tests/test_modes.py::test_every_mixture_of_the_modes_is_the_twins"
HUANG_LINE = f"{SOURCES_TEST}::test_huang_one_dimensional_example_with_5_inputs_and_3_weights"
RAY_INDEX = f"{SOURCES_TEST}::test_ray_the_two_gradients_of_a_convolution_by_index"
RAY_POOL = f"{SOURCES_TEST}::test_ray_max_pooling_puts_each_gradient_at_its_maximum"
CASE_1 = f"{SOURCES_TEST}::test_gormley_case_1_logistic_regression"
CASE_2 = f"{SOURCES_TEST}::test_gormley_case_2_one_hidden_layer"
PARTS = "tests/test_adjoints.py::test_the_formulas_put_together_from_their_parts"
OUTPUT = "tests/test_backprop.py::test_output_layer_by_the_formulas"
BACKPROP = "tests/test_backprop.py::test_three_roads_agree"
DECAY = "tests/test_losses.py::test_weight_decay_is_the_update_of_the_source"
WALKED = "tests/experiments/test_walkthrough.py::test_every_number_is_that_of_the_rules_and_of_jax"
OVERLAP = "tests/test_max_pool.py::test_overlapping_windows_add_up"

HUANG = Source(
    "Huang",
    'Minlie Huang (Tsinghua), "Forward & Backward Computing in Convolutional Neural Network"',
    (
        Formula("Forward pass", "y = f(x ∗ rot180(w) + b) = f(x ⋆ w + b)", ("conv", "rot180", "true_conv", "tanh"),
                HUANG_LINE, "huang", "A valid convolution with the kernel turned is a correlation."),
        Formula("Forward pass", "y = pooling(x)", ("max_pool", "avg_pool"), PARTS),
        Formula("Forward pass", "y = sigmoid(W x + b)", ("sigmoid", "dense"), OUTPUT),
        Formula("Forward pass", "y = softmax(W x + b)", ("softmax", "dense"), OUTPUT),
        Formula("Chain Rule and Composition Rule", "∂y_i/∂x_j = Σ_k ∂y_i/∂u_k ∂u_k/∂x_j", (), WALKED, "cosine"),
        Formula("Output layer", "E = ½ Σ (t − y)²", ("sigmoid_squared_error", "squared_error"), OUTPUT),
        Formula("Output layer", "E = −Σ t ln y", ("softmax_cross_entropy",), OUTPUT),
        Formula("Output layer", "δ = (y − t) • f′(u)", ("sigmoid_squared_error",), OUTPUT),
        Formula("Output layer", "δ = y − t", ("softmax_cross_entropy",), OUTPUT, "logistic"),
        Formula("Weight adjustment", "J = E + λ/2 Σ w²", ("weight_decay",), DECAY),
        Formula("Weight adjustment", "w ← w − α ∂E/∂w − αλw", ("weight_decay",), DECAY),
        Formula("Classification layer (all-to-all)", "∂E/∂W = δ yᵀ", ("dense", "dense_weight_grad"), OUTPUT),
        Formula("Classification layer (all-to-all)", "∂E/∂b = δ", ("dense",), OUTPUT),
        Formula("Classification layer (all-to-all)", "δ = Wᵀ δ • f′(u)", ("dense", "dense_input_grad", "sigmoid"),
                "tests/test_backprop.py::test_delta_is_the_gradient_at_the_pre_activation"),
        Formula("Convolutional layer", "δ = full(δ, rot180(w)) • f′(u)", ("conv", "conv_input_grad"), HUANG_LINE, "huang",
                "He writes a full convolution, which turns the kernel by itself."),
        Formula("Convolutional layer", "∂E/∂w = y ⋆ δ", ("conv", "conv_kernel_grad"), HUANG_LINE, "huang"),
        Formula("Convolutional layer", "∂E/∂b = Σ δ", ("conv",), MODES),
        Formula("Average pooling layer", "δ = upsample(δ) / size", ("avg_pool", "upsample", "global_avg_pool", "adaptive_avg_pool"),
                f"{SOURCES_TEST}::test_huang_average_pooling_halves_the_gradient"),
        Formula("Average pooling layer", "upsample(a) = (a₁, a₁, a₂, a₂, …)", ("upsample", "sum_pool", "sum_pool_input_grad"),
                "tests/test_adjoints.py::test_upsample_is_the_adjoint_of_the_tiling_sum"),
        Formula("Max pooling layer", "δ = M(y) • upsample(δ)",
                ("max_pool", "scatter_at_switches", "global_max_pool", "adaptive_max_pool"), RAY_POOL, "ray-max-pool"),
        Formula("Max pooling layer", "M one at the first maximum of each block", ("max_pool",),
                "tests/test_max_pool.py::test_the_first_maximum_in_row_major_order_wins"),
        Formula("BP Algorithm", "for l = L, …, 0: δ of every layer, and from it the gradients", ("conv", "dense"), BACKPROP),
        Formula("Combination of multiple feature maps", "y_q = f(Σ_{p ∈ M_q} y_p ⋆ w_qp + b_q)", ("table_conv", "conv"), MODES),
        Formula("Backward pass in general", "δ_p = Σ_{q ∈ N_p} full(δ_q, rot180(w_qp)) • f′(u_p)",
                ("table_conv", "conv_input_grad", "conv_transpose"), "tests/test_adjoints.py::test_convolution_and_its_two_gradients"),
        Formula("Backward pass in general", "∂E/∂w_qp = y_p ⋆ δ_q", ("table_conv", "conv_kernel_grad"),
                "tests/test_adjoints.py::test_convolution_and_its_two_gradients"),
    ),
)  # fmt: skip

QUAN = Source(
    "Quan",
    'Xiaojun Quan (SYSU 2023, after CMU 11-785), "Lecture 7: Convolutional Neural Networks II"',
    (
        Formula("7.1", "loss = 1/T Σ div(Y_i, d_i)", ("softmax_cross_entropy", "flatten"), OUTPUT),
        Formula("7.2", "∂z = ∂y • f′(z)", ("tanh", "relu"), "tests/test_backprop.py::test_delta_is_the_gradient_at_the_pre_activation"),
        Formula("7.2", "z_n = Σ_m y_m ⋆ w_mn + b_n", ("conv",), f"{SOURCES_TEST}::test_quan_the_first_output_of_the_binary_image_is_4"),
        Formula("7.2", "∂y_m = Σ_n full(δ_n, rot180(w_mn)), by index Σ δ_n[x′, y′] w_mn[x − x′, y − y′]", ("conv", "conv_input_grad", "fold"),
                RAY_INDEX, "ray-conv"),
        Formula("7.2", "zero padding forward is zero padding back; strides put zeros between: dilate(δ)", ("pad", "dilate"), PARTS),
        Formula("The filter derivative", "∂w_mn[i, j] = Σ δ_n[x, y] y_m[x + i, y + j]", ("conv", "conv_kernel_grad"), RAY_INDEX, "ray-conv"),
        Formula("7.3", "y = x at P, P the argmax of the window",
                ("max_pool", "max_pool_with_switches", "gather_at_switches", "global_max_pool", "adaptive_max_pool"), RAY_POOL),
        Formula("7.3", "∂x = δ at P, else 0", ("max_pool", "scatter_at_switches"), RAY_POOL),
        Formula("Derivative of Max Pooling layer", "∂x[P] += δ", ("scatter_at_switches", "max_pool"), OVERLAP, "",
                "An element may be the maximum of several windows."),
        Formula("Max Pooling layer at layer l", "y, P: the maximum and where it was", ("max_pool_with_switches",),
                "tests/test_adjoints.py::test_gather_and_scatter_at_switches"),
        Formula("Mean pooling", "y = 1/K² Σ x", ("avg_pool",), f"{SOURCES_TEST}::test_gormley_downsampling_by_averaging_is_average_pooling"),
        Formula("Mean pooling", "∂x = 1/K² δ", ("avg_pool",), f"{SOURCES_TEST}::test_huang_average_pooling_halves_the_gradient", "",
                "Garbled where it is printed."),
        Formula("7.4", "x̂ = (x − μ)/√(σ² + ε)", ("batch_norm", "batch_norm_inference", "layer_norm", "group_norm", "instance_norm"),
                MODES),
        Formula("Finding Bounding Boxes", "E = ½ Σ (y − t)² + loss of the class", ("squared_error",),
                "tests/test_losses.py::test_squared_error_of_sigmoids_is_sigmoid_squared_error"),
        Formula("Depth-wise convolution", "y_c = x_c ⋆ k_c, each map by itself", ("depthwise_conv",), MODES),
        Formula("Conventional vs. depth-wise convolution", "N M + M K² weights, where conv has N M K²", ("depthwise_conv", "conv"),
                "tests/test_models.py::test_parameters_are_as_many_as_published"),
        Formula("Learning magic in AlexNet", "b_i = x_i / (k + α Σ x_j²)^β", ("local_response_norm",),
                "tests/test_norm.py::test_local_response_by_loops"),
        Formula("Learning magic in AlexNet", "y = x • mask / (1 − p)", ("dropout",), MODES),
        Formula("Learning magic in AlexNet", "w ← w − α ∂E/∂w − αλw", ("weight_decay",), DECAY),
        Formula("ResNet", "y = relu(f(x) + x)", ("relu", "conv"), BACKPROP),
        Formula("DenseNet", "y = [x₁, x₂, …]", ("concatenate", "split"), MODES),
    ),
)  # fmt: skip

GORMLEY = Source(
    "Gormley",
    'Matt Gormley (CMU 10-601, 2019), "Lecture 14: Backpropagation + Deep Learning"',
    (
        Formula("Backpropagation, simple example", "J = cos(u), u = sin(t) + 3t, t = x²", (), WALKED, "cosine"),
        Formula("Reverse Mode, Version A", "∂y/∂v_j = Σ_i ∂y/∂u_i ∂u_i/∂v_j", (), WALKED, "cosine"),
        Formula("Reverse Mode, Version B", "∂y/∂v_j += ∂y/∂u_i ∂u_i/∂v_j", (), WALKED, "cosine"),
        Formula("Differentiation Quiz 1", "y = exp(xz) + xz/log(x) + sin(log(x))/(xz)", (),
                "tests/experiments/test_walkthrough.py::test_quiz_1_is_answer_e", "quiz1"),
        Formula("Differentiation Quiz 2", "y = sigmoid(βᵀ sigmoid(α₂ᵀ sigmoid(α₁ᵀ x)))", ("dense", "sigmoid"), WALKED, "quiz2"),
        Formula("Case 1: Logistic Regression", "J = t log(y) + (1 − t) log(1 − y)", ("sigmoid_binary_cross_entropy",), CASE_1, "logistic",
                "J is the likelihood; a loss has the other sign."),
        Formula("Case 1: Logistic Regression", "∂J/∂θ_j = (t − y) x_j", ("sigmoid_binary_cross_entropy", "dense"), CASE_1, "logistic"),
        Formula("Case 2", "∂J/∂β_j = ∂J/∂b z_j", ("dense", "dense_weight_grad"), CASE_2, "hidden1",
                "1 − y for y − 1 in dJ/dy is a misprint."),
        Formula("Case 2", "∂J/∂x_i = Σ_j ∂J/∂a_j α_ji", ("dense", "dense_input_grad"), CASE_2, "hidden1"),
        Formula("Derivative of a Sigmoid", "∂s/∂b = s (1 − s)", ("sigmoid",), CASE_2),
        Formula("Finite difference", "∂J ≈ (J(θ + εd) − J(θ − εd)) / (2ε)", (),
                "tests/experiments/test_walkthrough.py::test_central_differences_agree", "",
                "What `python -m jaxcnn.gradcheck` compares every rule with."),
        Formula("A Recipe for Machine Learning", "θ ← θ − η ∇ℓ(f(x), y)", (),
                "tests/test_backprop.py::test_a_training_step_without_differentiation_lowers_the_loss", "ray-network"),
        Formula("Background: Image Processing", "y = x ⋆ k", ("conv",), f"{SOURCES_TEST}::test_gormley_background_image_processing", "",
                "Four decimals of the blurred image are misprints."),
        Formula("Downsampling", "y = subsample(x ⋆ k)", ("conv", "subsample"), f"{SOURCES_TEST}::test_gormley_downsampling_with_stride_2"),
        Formula("Downsampling by Averaging", "y = mean of the window", ("avg_pool",),
                f"{SOURCES_TEST}::test_gormley_downsampling_by_averaging_is_average_pooling"),
        Formula("SGD for CNNs", "J = ℓ(softmax(linear(relu(conv(pool(conv(x)))))))", ("conv", "max_pool", "relu", "dense", "softmax"), BACKPROP),
        Formula("ReLU Layer", "σ(a) = max(0, a)", ("relu",), f"{SOURCES_TEST}::test_ray_relu", "ray-relu"),
        Formula("Softmax Layer", "y_i = eˣ / Σ eˣ", ("softmax", "log_softmax"), MODES),
        Formula("Softmax Layer", "∂x_j = Σ_i g_i y_i (1 if i = j − y_j) = y_j (g_j − Σ_i g_i y_i)", ("softmax", "softmax_cross_entropy"), MODES),
        Formula("Fully-Connected Layer (w/ tensor input)", "y = αᵀ x + α₀, the tensor in one row", ("flatten", "dense"),
                "tests/test_adjoints.py::test_flatten_and_unflatten"),
        Formula("Max-Pooling Layer", "y_ij = max x_mn of the window", ("max_pool",), f"{SOURCES_TEST}::test_gormley_max_pooling"),
        Formula("Max-Pooling Layer", "∂J/∂x_mn = Σ_ij ∂J/∂y_ij where x_mn was chosen", ("max_pool",), OVERLAP),
        Formula("Max-Pooling Layer", "y = max(a, b): ∂a = ∂y if a > b", ("max_pool",),
                f"{SOURCES_TEST}::test_gormley_two_arguments_of_a_maximum_but_the_first_wins_a_tie", "",
                "This gives a tie to b; the other sources, the frameworks and we give it to the first."),
    ),
)  # fmt: skip

GWARDYS = Source(
    "Gwardys",
    'Grzegorz Gwardys (2016), "Convolutional Neural Networks backpropagation: from intuition to derivation"',
    (
        Formula("Perceptron", "z_j = Σ_k w_jk a_k + b_j", ("dense",), OUTPUT),
        Formula("Step 2, feedforward", "z = x ∗ w + b", ("true_conv",),
                f"{SOURCES_TEST}::test_gwardys_a_true_convolution_has_the_rotations_the_other_way_round", "gwardys",
                "He has a bias for each place; a layer shares one per map."),
        Formula("Step 3, output error", "δ = ∂C/∂y • f′(z)", ("sigmoid_squared_error",), OUTPUT),
        Formula("Step 4", "δ = δ ∗ rot180(w) • f′(z)", ("true_conv", "conv_input_grad", "rot180"),
                f"{SOURCES_TEST}::test_gwardys_a_true_convolution_has_the_rotations_the_other_way_round", "gwardys"),
        Formula("Step 5", "∂C/∂w = δ ∗ rot180(y)", ("true_conv", "conv_kernel_grad"),
                f"{SOURCES_TEST}::test_gwardys_a_true_convolution_has_the_rotations_the_other_way_round", "gwardys"),
    ),
)  # fmt: skip

RAY = Source(
    "Ray",
    'Nilanjan Ray, "Training Convnet with Backprop"',
    (
        Formula("Derivation of δK", "J[i, j] = Σ I[i + l, j + m] K[l, m]", ("conv",), RAY_INDEX, "ray-conv"),
        Formula("Derivation of δK", "δK = I ⋆ δJ", ("conv", "conv_kernel_grad"), RAY_INDEX, "ray-conv"),
        Formula("Derivation of δI", "δI = pad(δJ) ⋆ flip(K)", ("conv", "conv_input_grad"), RAY_INDEX, "ray-conv"),
        Formula("Derivation of δI", "flip([1 3 5; 2 4 6]) = [6 4 2; 5 3 1]", ("rot180",), f"{SOURCES_TEST}::test_ray_flip", "ray-conv"),
        Formula("BP for a max pooling layer", "δx_i = δy if i is the argmax, else 0", ("max_pool",), RAY_POOL, "ray-max-pool",
                "In case of a tie a single one is chosen."),
        Formula("BP for a ReLU layer", "δx = δy where x > 0, else 0", ("relu",), f"{SOURCES_TEST}::test_ray_relu", "ray-relu"),
        Formula("Putting it all together", "p = max_pool(relu(x ⋆ K)), then δp, δz, δy, δK", ("conv", "relu", "max_pool"), WALKED, "ray-network"),
        Formula("Putting it all together", "K ← K − η δK, η the learning rate", ("conv",),
                "tests/test_backprop.py::test_a_training_step_without_differentiation_lowers_the_loss"),
    ),
)  # fmt: skip

SOURCES = (HUANG, QUAN, GORMLEY, GWARDYS, RAY)


def formulas() -> list[tuple[str, Source, Formula]]:
    """Each with the name of its place on the page."""
    return [
        (f"{source.author.lower()}-{i}", source, formula)
        for source in SOURCES
        for i, formula in enumerate(source.formulas, 1)
    ]
