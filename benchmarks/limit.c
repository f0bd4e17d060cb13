/* What a CPU can do: the same Newton measurement by hand, fused into one loop and on all cores.
 *
 * Value, gradient and Hessian of the Jensen-Shannon divergence between a target, given by its density p on n fixed
 * nodes dx apart, and N(mu, exp(log_sigma)^2), for many lanes: the moments of the slope and of the curvature in
 * log q against the powers of z = (x - mu) / sigma. One exponential and two logarithms for each node. Compiled by
 * sweep.py with -O3 -march=native -ffast-math -fopenmp, so that libmvec's vector functions are used.
 */
#include <math.h>

static float measure(const float *restrict x, const float *restrict p, const float *restrict log_p, int n, float dx,
                     float mu, float log_sigma, float *restrict grad, float *restrict hessian) {
    const float inverse = expf(-log_sigma), shift = -log_sigma - 0.918938533f;
    float value = 0, s0 = 0, s1 = 0, s2 = 0, c0 = 0, c1 = 0, c2 = 0, c3 = 0, c4 = 0;
#pragma omp simd reduction(+ : value, s0, s1, s2, c0, c1, c2, c3, c4)
    for (int i = 0; i < n; i++) {
        const float z = (x[i] - mu) * inverse, log_q = shift - 0.5f * z * z, q = expf(log_q);
        const float m = 0.5f * (p[i] + q) + 1e-37f, log_m = logf(m);
        const float to_q = log_q - log_m;
        const float s = 0.5f * q * to_q;                             /* slope in log q */
        const float c = 0.5f * q * (to_q + 1.0f - 0.5f * q / m);     /* curvature in log q */
        const float z2 = z * z;
        value += 0.5f * p[i] * (log_p[i] - log_m) + s;
        s0 += s, s1 += s * z, s2 += s * z2;
        c0 += c, c1 += c * z, c2 += c * z2, c3 += c * z2 * z, c4 += c * z2 * z2;
    }
    grad[0] = dx * s1 * inverse;
    grad[1] = dx * (s2 - s0);
    hessian[0] = dx * (c2 - s0) * inverse * inverse;
    hessian[1] = dx * (c3 - c1 - 2.0f * s1) * inverse;
    hessian[2] = dx * (c4 - 2.0f * c2 + c0 - 2.0f * s2);
    return dx * value;
}

/* steps evaluations of every lane, each followed by a damped Newton step; p and log_p are [lanes_of_p, n]. */
void newton(const float *x, const float *p, const float *log_p, const int *target, int n, float dx, int lanes,
            int steps, float *theta, float *value) {
#pragma omp parallel for schedule(static)
    for (int lane = 0; lane < lanes; lane++) {
        const float *mine = p + (long)target[lane] * n, *log_mine = log_p + (long)target[lane] * n;
        float *at = theta + 2 * lane, g[2], h[3];
        for (int k = 0; k < steps; k++) {
            value[lane] = measure(x, mine, log_mine, n, dx, at[0], at[1], g, h);
            /* The Hessian made positive by a shift, and the step held to a box: enough for its cost. */
            const float mean = 0.5f * (h[0] + h[2]), half = 0.5f * (h[0] - h[2]);
            const float low = mean - sqrtf(half * half + h[1] * h[1]);
            const float lift = low > 1e-3f ? 0.0f : 1e-3f - low;
            const float a = h[0] + lift, b = h[2] + lift, det = a * b - h[1] * h[1];
            at[0] -= fminf(fmaxf((b * g[0] - h[1] * g[1]) / det, -1.0f), 1.0f);
            at[1] -= fminf(fmaxf((a * g[1] - h[1] * g[0]) / det, -0.5f), 0.5f);
        }
    }
}
