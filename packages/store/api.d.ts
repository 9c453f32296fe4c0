// Written by pnpm api.

// disk.d.ts
/// <reference lib="esnext.disposable" />
import { Storage } from "@iopa/appbuilder/extension";
interface DiskOptions {
    readonly sync?: boolean;
    readonly repair?: boolean;
}
declare const disk: (path: string, options?: DiskOptions) => Storage;
export { disk };
export type { DiskOptions };

// index.d.ts
/// <reference lib="esnext.disposable" />
import { Context, Next } from "@iopa/appbuilder";
import { Extension, Storage, ResourceTypes, ResourceContract, ResourceServer, ResourceHandlers, TwinTypes, TwinState, TwinContract, PresenceState } from "@iopa/appbuilder/extension";
import { Clock } from "@iopa/transport";
interface HistoryOptions {
    readonly keep?: number;
    readonly days?: number;
    readonly bytes?: number;
}
interface IdempotencyLimits {
    readonly entries?: number;
    readonly entriesPerUser?: number;
    readonly bytes?: number;
    readonly answerBytes?: number;
    readonly hours?: number;
}
interface IdempotencyOptions {
    readonly storage?: Storage;
    readonly limits?: IdempotencyLimits;
    readonly clock?: Clock;
}
interface Idempotency extends Extension<object> {
    invoke(context: Context, next: Next): unknown;
    close(): Promise<void>;
}
declare const idempotency: (options?: IdempotencyOptions) => Idempotency;
declare const memory: () => Storage;
type DocumentId<Params> = [
    true
] extends [
    IsUnion<keyof Params>
] ? Readonly<Params> : string;
type IsUnion<Key, All = Key> = Key extends unknown ? ([
    All
] extends [
    Key
] ? false : true) : never;
interface StoredDocument<Types extends ResourceTypes> {
    readonly id: DocumentId<Types["params"]>;
    readonly state: Types["state"];
    readonly version: number;
    readonly changed: number;
}
interface ChangeOptions {
    readonly ifVersion?: number;
}
interface ListOptions {
    readonly after?: string;
    readonly limit?: number;
    readonly reverse?: boolean;
}
interface About<Types extends ResourceTypes> extends Omit<StoredDocument<Types>, "state"> {
    readonly now: number;
}
type Computed<Types extends ResourceTypes> = {
    readonly [Name in keyof Types["computed"]]: (state: Types["state"], about: About<Types>) => Types["computed"][Name];
};
interface StoreLimits {
    readonly documents?: number;
    readonly bytes?: number;
    readonly documentBytes?: number;
    readonly tombstones?: number;
}
interface StoreOptions<Types extends ResourceTypes> {
    readonly storage?: Storage;
    readonly initial?: Readonly<Record<string, Types["stateInput"]>>;
    readonly create?: boolean;
    readonly computed?: Computed<Types>;
    readonly handlers?: Partial<ResourceHandlers<Types>>;
    readonly limits?: StoreLimits;
    readonly history?: HistoryOptions;
    readonly newId?: () => string;
    readonly clock?: Clock;
}
interface StoreChange<Types extends ResourceTypes> {
    readonly id: DocumentId<Types["params"]>;
    readonly state: Types["state"] | undefined;
    readonly previous: Types["state"] | undefined;
    readonly version: number;
    readonly replica: boolean;
}
interface RuleOptions {
    readonly replicas?: boolean;
}
interface AsideDocument<Types extends {
    readonly params: unknown;
}> {
    readonly id: DocumentId<Types["params"]>;
    readonly reason: string;
    readonly time: number;
    readonly bytes: Uint8Array;
}
interface Store<Types extends ResourceTypes> {
    readonly contract: ResourceContract<Types>;
    serve: ResourceServer["serve"];
    ready(): Promise<void>;
    get(id: DocumentId<Types["params"]>): Promise<StoredDocument<Types> | undefined>;
    put(id: DocumentId<Types["params"]>, state: Types["stateInput"], options?: ChangeOptions): Promise<StoredDocument<Types>>;
    patch(id: DocumentId<Types["params"]>, change: (state: Types["state"]) => Types["stateInput"], options?: ChangeOptions): Promise<StoredDocument<Types>>;
    delete(id: DocumentId<Types["params"]>, options?: ChangeOptions): Promise<boolean>;
    list(options?: ListOptions): Promise<readonly StoredDocument<Types>[]>;
    onChange(rule: (change: StoreChange<Types>) => unknown, options?: RuleOptions): Disposable;
    setAside(): Promise<readonly AsideDocument<Types>[]>;
    close(): Promise<void>;
}
declare const store: <Types extends ResourceTypes>(contract: ResourceContract<Types>, options?: StoreOptions<Types>) => Store<Types>;
interface TwinLimits {
    readonly documents?: number;
    readonly documentBytes?: number;
}
interface TwinOptions {
    readonly storage?: Storage;
    readonly device?: (context: Context) => boolean;
    readonly user?: (context: Context) => boolean;
    readonly limits?: TwinLimits;
    readonly clock?: Clock;
}
interface Twin<Types extends TwinTypes> extends TwinState<Types["reported"], Types["desired"]> {
    readonly id: DocumentId<Types["params"]>;
}
type TwinPatch<State> = {
    readonly [Name in keyof State]?: State[Name] | null;
};
interface Twins<Types extends TwinTypes> {
    readonly contract: TwinContract<Types>;
    serve: ResourceServer["serve"];
    ready(): Promise<void>;
    get(id: DocumentId<Types["params"]>): Promise<Twin<Types> | undefined>;
    desire(id: DocumentId<Types["params"]>, patch: TwinPatch<Types["desired"]>): Promise<Twin<Types>>;
    report(id: DocumentId<Types["params"]>, patch: TwinPatch<Types["reported"]>, options?: {
        readonly seen?: number;
    }): Promise<Twin<Types>>;
    delete(id: DocumentId<Types["params"]>): Promise<boolean>;
    presence(id: DocumentId<Types["params"]>): Promise<PresenceState>;
    setAside(): Promise<readonly AsideDocument<Types>[]>;
    close(): Promise<void>;
}
declare const twins: <Types extends TwinTypes>(contract: TwinContract<Types>, options?: TwinOptions) => Twins<Types>;
export { idempotency, memory, store, twins };
export type { About, AsideDocument, ChangeOptions, Computed, DocumentId, HistoryOptions, Idempotency, IdempotencyLimits, IdempotencyOptions, ListOptions, RuleOptions, Store, StoreChange, StoreLimits, StoreOptions, StoredDocument, Twin, TwinLimits, TwinOptions, TwinPatch, Twins };
