// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { Codec } from "@iopa/constants";
interface SenmlOptions {
    readonly records?: number;
}
declare const senml: (options?: SenmlOptions) => readonly Codec[];
interface PackRecord {
    readonly bn?: string;
    readonly bt?: number;
    readonly bu?: string;
    readonly bv?: number;
    readonly bs?: number;
    readonly bver?: number;
    readonly n?: string;
    readonly u?: string;
    readonly v?: number;
    readonly vs?: string;
    readonly vb?: boolean;
    readonly vd?: string;
    readonly s?: number;
    readonly t?: number;
    readonly ut?: number;
}
type SenmlPack = readonly PackRecord[];
declare const parsePack: (value: unknown, most?: number) => SenmlPack;
interface SenmlRecord {
    readonly n: string;
    readonly u?: string;
    readonly v?: number;
    readonly vs?: string;
    readonly vb?: boolean;
    readonly vd?: string;
    readonly s?: number;
    readonly t: number;
    readonly ut?: number;
    readonly bver?: number;
}
interface RecordsOptions {
    readonly now: number;
}
declare const records: (pack: SenmlPack, { now }: RecordsOptions) => SenmlRecord[];
declare const pack: (records: readonly SenmlRecord[]) => SenmlPack;
export { pack, parsePack, records, senml };
export type { PackRecord, RecordsOptions, SenmlOptions, SenmlPack, SenmlRecord };
