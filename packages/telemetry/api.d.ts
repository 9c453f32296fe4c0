// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { Context, Next } from "@iopa/appbuilder";
import { Extension } from "@iopa/appbuilder/extension";
import { KeysDeclaration } from "@iopa/constants";
import { Span, Meter, Tracer, TextMapPropagator } from "@opentelemetry/api";
type Check = (options: {
    readonly signal: AbortSignal;
}) => unknown;
interface CheckResult {
    readonly status: "up" | "down";
    readonly duration: number;
    readonly error?: string;
}
interface HealthOptions {
    readonly checks?: Readonly<Record<string, Check>>;
    readonly path?: string;
    readonly readyPath?: string;
    readonly timeout?: number;
    readonly cache?: number;
    readonly details?: boolean | ((context: Context) => boolean);
    readonly notice?: number;
}
interface DrainOptions {
    readonly notice?: number;
    readonly timeout?: number;
}
interface HealthMethods {
    drain(options?: DrainOptions): Promise<void>;
}
interface Health extends Extension<HealthMethods> {
    invoke(context: Context, next: Next): unknown;
}
declare const health: (options?: HealthOptions) => Health;
declare module "@iopa/constants" {
    interface IopaKeys {
        "telemetry.Span": Span | undefined;
    }
}
declare const TELEMETRY_KEYS: KeysDeclaration;
interface MetricsOptions {
    readonly meter?: Meter;
}
interface Metrics extends Extension<object> {
    readonly neutral: true;
    invoke(context: Context, next: Next): unknown;
}
declare const metrics: (options?: MetricsOptions) => Metrics;
interface TraceOptions {
    readonly tracer?: Tracer;
    readonly propagator?: TextMapPropagator;
    readonly trust?: boolean | ((context: Context) => boolean);
    readonly ignore?: (context: Context) => boolean;
}
interface Traces extends Extension<object> {
    readonly neutral: true;
    readonly keys: KeysDeclaration;
    invoke(context: Context, next: Next): unknown;
    dispatch(context: Context, next: Next): unknown;
}
declare const traces: (options?: TraceOptions) => Traces;
export { TELEMETRY_KEYS, health, metrics, traces };
export type { Check, CheckResult, DrainOptions, Health, HealthMethods, HealthOptions, Metrics, MetricsOptions, TraceOptions, Traces };

// prometheus.d.ts
/// <reference lib="esnext.disposable" />
import { Context, Next } from "@iopa/appbuilder";
import { Extension } from "@iopa/appbuilder/extension";
import { Registry } from "prom-client";
interface PrometheusOptions {
    readonly register?: Registry;
    readonly buckets?: readonly number[];
    readonly defaultMetrics?: boolean;
}
interface PrometheusMetrics extends Extension<object> {
    readonly neutral: true;
    readonly register: Registry;
    invoke(context: Context, next: Next): unknown;
    readonly handler: (context: Context) => Promise<string>;
}
declare const prometheus: (options?: PrometheusOptions) => PrometheusMetrics;
export { prometheus };
export type { PrometheusMetrics, PrometheusOptions };
