// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { R as RateLimitStore } from "./store.js";
export { Q as Quota, S as SharedBudgets, T as Taken } from "./store.js";
import { Context } from "@iopa/appbuilder";
import { DefinedMiddleware } from "@iopa/appbuilder/extension";
interface RateLimitOptions {
    readonly limit: number;
    readonly window?: number;
    readonly burst?: number;
    readonly key?: (context: Context) => string | undefined;
    readonly cost?: number | ((context: Context) => number);
    readonly counts?: "requests" | "refusals";
    readonly skip?: (context: Context) => boolean;
    readonly name?: string;
    readonly headers?: boolean;
    readonly maxKeys?: number;
    readonly store?: RateLimitStore;
    readonly onFailure?: "allow" | "refuse";
    readonly timeout?: number;
}
declare const rateLimit: (options: RateLimitOptions) => DefinedMiddleware<never, never>;
export { RateLimitStore, rateLimit };
export type { RateLimitOptions };

// redis.d.ts
/// <reference lib="esnext.disposable" />
import { RateLimitStore } from "./index.js";
interface RedisOptions {
    readonly prefix?: string;
    readonly useRedisPackage?: boolean;
}
declare const redis: (client: unknown, options?: RedisOptions) => RateLimitStore;
export { redis };
export type { RedisOptions };

// store.d.ts
/// <reference lib="esnext.disposable" />
interface Quota {
    readonly limit: number;
    readonly window: number;
    readonly burst: number;
}
interface Taken {
    readonly allowed: boolean;
    readonly remaining: number;
    readonly reset: number;
}
interface SharedBudgets {
    take(key: string, cost: number): Promise<Taken>;
}
interface RateLimitStore {
    open(quota: Quota & {
        readonly name: string;
    }): SharedBudgets;
}
export type { Quota as Q, RateLimitStore as R, SharedBudgets as S, Taken as T };
