// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { MethodTypes, ResourceTypes, Bag, ReceivedAnswer, Client, ResourceContract, IopaError, InputFault, SecurityScheme, CollectionTypes, PathParams, Schema, ErrorContract, OutputOf, InputOf, TwinTypes, TwinContract } from "@iopa/transport";
export { historyContract as history } from "@iopa/transport";
import { ResourceTypes as ResourceTypes$1, ResourceContract as ResourceContract$1, ResourceHandlers, ResourceServer, ServeOptions, Extension } from "@iopa/appbuilder/extension";
interface CallOptions {
    readonly signal?: AbortSignal;
    readonly timeout?: number;
}
interface MethodOptions<M extends MethodTypes> extends CallOptions {
    readonly query?: M["queryInput"];
    readonly headers?: unknown extends M["headersInput"] ? Readonly<Record<string, string>> : M["headersInput"];
}
interface ChangeOptions<M extends MethodTypes> extends MethodOptions<M> {
    readonly ifMatch?: string;
    readonly ifNoneMatch?: string;
}
interface Tagged<State> {
    readonly state: State;
    readonly etag: string | undefined;
}
type MergePatch<State> = State extends readonly unknown[] ? State : State extends object ? {
    readonly [Name in keyof State]?: MergePatch<State[Name]> | null;
} : State;
type PatchOperation = {
    readonly op: "add" | "replace" | "test";
    readonly path: string;
    readonly value: unknown;
} | {
    readonly op: "remove";
    readonly path: string;
} | {
    readonly op: "move" | "copy";
    readonly path: string;
    readonly from: string;
};
type Call<Types extends ResourceTypes, Name, M extends MethodTypes> = Name extends "get" ? (options?: MethodOptions<M>) => Promise<M["answer"]> : Name extends "put" ? (state: M["inputInput"], options?: ChangeOptions<M>) => Promise<M["answer"] | undefined> : Name extends "patch" ? (change: MergePatch<Types["state"]> | readonly PatchOperation[], options?: ChangeOptions<M>) => Promise<M["answer"] | undefined> : Name extends "ipatch" ? (change: MergePatch<Types["state"]>, options?: ChangeOptions<M>) => Promise<M["answer"] | undefined> : Name extends "delete" ? (options?: ChangeOptions<M>) => Promise<M["answer"] | undefined> : (input?: M["inputInput"], options?: ChangeOptions<M>) => Promise<M["answer"] | undefined>;
interface Reading<M extends MethodTypes> {
    read(options?: MethodOptions<M>): Promise<Tagged<M["answer"]>>;
    observe(options?: MethodOptions<M>): AsyncIterable<M["answer"]>;
}
type ResourceClient<Types extends ResourceTypes> = {
    readonly [Name in keyof Types["methods"]]: Call<Types, Name, Types["methods"][Name]>;
} & (Types["methods"] extends {
    readonly get: infer M extends MethodTypes;
} ? Reading<M> : unknown) & {
    readonly path: string;
};
type Target = Pick<Client, "send" | "observe" | "pathBase"> | InProcess;
interface InProcess {
    invoke(request: Bag): Promise<ReceivedAnswer>;
    observe(path: string, options?: {
        readonly signal?: AbortSignal;
        readonly headers?: Readonly<Record<string, string>>;
    }): AsyncIterable<ReceivedAnswer>;
}
interface AtOptions {
    readonly type?: string;
}
type AtArguments<Params> = object extends Params ? [
    params?: Params,
    options?: AtOptions
] : [
    params: Params,
    options?: AtOptions
];
declare const at: <Types extends ResourceTypes>(target: Target, contract: ResourceContract<Types>, ...[params, { type }]: AtArguments<Types["paramsInput"]>) => ResourceClient<Types>;
declare const COMMON: readonly [
    "invalid-input",
    "precondition-failed",
    "not-found",
    "forbidden",
    "unauthorized"
];
type CommonCode = (typeof COMMON)[number];
type DeclaredCode<Types extends ResourceTypes> = Extract<Types["methods"][keyof Types["methods"]]["errors"], {
    readonly code: string;
}>["code"];
interface ResourceProblem<Code extends string> extends IopaError {
    readonly code: Code;
    readonly extensions: (Readonly<Record<string, unknown>> & {
        readonly errors?: readonly InputFault[];
    }) | undefined;
}
declare const isProblem: <Types extends ResourceTypes>(contract: ResourceContract<Types>, error: unknown) => error is ResourceProblem<DeclaredCode<Types> | CommonCode>;
interface CollectionDefinition<Member extends string = string> {
    readonly title?: string;
    readonly description?: string;
    readonly rt?: string;
    readonly if?: string;
    readonly create?: boolean;
    readonly page?: number;
    readonly filter?: readonly Member[];
    readonly security?: readonly SecurityScheme[];
}
type FilterName<State> = {
    [Name in keyof State]-?: State[Name] extends string | number | boolean | null | undefined ? Name : never;
}[keyof State] & string;
declare const collection: <Item extends ResourceTypes, const Pattern extends string, const Definition extends CollectionDefinition<FilterName<Item["state"] & Item["computed"]>>>(item: ResourceContract<Item>, pattern: Pattern, definition?: Definition) => ResourceContract<CollectionTypes<PathParams<Pattern>, Item, Definition["create"], Definition["filter"] extends readonly (infer Name extends string)[] ? Name : never>>;
interface MethodDefinition {
    readonly title?: string;
    readonly description?: string;
    readonly query?: Schema;
    readonly headers?: Schema;
    readonly input?: Schema;
    readonly answer?: Schema;
    readonly errors?: Readonly<Record<string, ErrorContract>>;
    readonly security?: readonly SecurityScheme[];
}
interface ResourceDefinition {
    readonly title?: string;
    readonly description?: string;
    readonly rt?: string;
    readonly if?: string;
    readonly params?: Schema;
    readonly state?: Schema;
    readonly computed?: Readonly<Record<string, Schema>>;
    readonly methods: Readonly<Record<string, MethodDefinition>>;
    readonly security?: readonly SecurityScheme[];
    readonly version?: number;
    readonly migrate?: (old: unknown, version: number) => unknown;
}
type Out<S, Otherwise> = S extends Schema ? OutputOf<S> : Otherwise;
type In<S, Otherwise> = S extends Schema ? InputOf<S> : Otherwise;
interface DefinedTypes<Pattern extends string, D extends ResourceDefinition> extends ResourceTypes {
    readonly params: Out<D["params"], PathParams<Pattern>>;
    readonly paramsInput: In<D["params"], PathParams<Pattern>>;
    readonly state: Out<D["state"], unknown>;
    readonly stateInput: In<D["state"], unknown>;
    readonly computed: Computed<D>;
    readonly methods: {
        readonly [Name in keyof D["methods"]]: DefinedMethod<D, Name, D["methods"][Name]>;
    };
}
type Computed<D extends ResourceDefinition> = D["computed"] extends Readonly<Record<string, Schema>> ? {
    readonly [K in keyof D["computed"]]: OutputOf<D["computed"][K]>;
} : unknown;
interface DefinedMethod<D extends ResourceDefinition, Name, M extends MethodDefinition> {
    readonly query: Out<M["query"], URLSearchParams>;
    readonly queryInput: In<M["query"], Readonly<Record<string, string | readonly string[]>>>;
    readonly headers: Out<M["headers"], unknown>;
    readonly headersInput: In<M["headers"], unknown>;
    readonly input: Name extends "put" ? Out<D["state"], unknown> : Out<M["input"], unknown>;
    readonly inputInput: Name extends "put" ? In<D["state"], unknown> : In<M["input"], unknown>;
    readonly answer: Out<M["answer"], Name extends "get" | "put" | "patch" | "ipatch" ? Out<D["state"], unknown> & Computed<D> : unknown>;
    readonly errors: M["errors"] extends Readonly<Record<infer Code, ErrorContract>> ? {
        readonly [C in Code]: {
            readonly code: C;
        };
    }[Code] : never;
}
declare const resource: <const Pattern extends string, const Definition extends ResourceDefinition>(pattern: Pattern, definition: Definition) => ResourceContract<DefinedTypes<Pattern, Definition>>;
interface ResourceMethods {
    serve<This, Types extends ResourceTypes$1>(this: This, contract: ResourceContract$1<Types>, handlers: ResourceHandlers<Types> | ResourceServer<Types>, options?: ServeOptions): This;
}
interface ResourceOptions {
    readonly answers?: "check" | "trust";
}
declare const resources: (options?: ResourceOptions) => Extension<ResourceMethods>;
interface TwinDefinition {
    readonly title?: string;
    readonly description?: string;
    readonly rt?: string;
    readonly params?: Schema;
    readonly reported: Schema;
    readonly desired: Schema;
    readonly security?: readonly SecurityScheme[];
    readonly version?: number;
    readonly migrate?: TwinMigration;
}
interface TwinMigration {
    readonly reported?: (old: unknown, version: number) => unknown;
    readonly desired?: (old: unknown, version: number) => unknown;
}
interface DefinedTwin<Pattern extends string, D extends TwinDefinition> extends TwinTypes {
    readonly params: D["params"] extends Schema ? OutputOf<D["params"]> : PathParams<Pattern>;
    readonly paramsInput: D["params"] extends Schema ? InputOf<D["params"]> : PathParams<Pattern>;
    readonly reported: OutputOf<D["reported"]>;
    readonly reportedInput: InputOf<D["reported"]>;
    readonly desired: OutputOf<D["desired"]>;
    readonly desiredInput: InputOf<D["desired"]>;
}
declare const twin: <const Pattern extends string, const Definition extends TwinDefinition>(pattern: Pattern, definition: Definition) => TwinContract<DefinedTwin<Pattern, Definition>>;
export { at, collection, isProblem, resource, resources, twin };
export type { AtOptions, CallOptions, ChangeOptions, CollectionDefinition, DefinedTwin, DefinedTypes, InProcess, MergePatch, MethodDefinition, MethodOptions, PatchOperation, ResourceClient, ResourceDefinition, ResourceMethods, ResourceOptions, ResourceProblem, Tagged, Target, TwinDefinition, TwinMigration };

// json-schema.d.ts
/// <reference lib="esnext.disposable" />
import { Schema } from "@iopa/transport";
import { Ajv2020 } from "ajv/dist/2020.js";
interface JsonSchemaValidation {
    readonly ajv?: Pick<Ajv2020, "compile">;
}
declare const jsonSchema: <State>(schema: object, { ajv }?: JsonSchemaValidation) => Schema<State>;
export { jsonSchema };
export type { JsonSchemaValidation };
