// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { Readable } from "node:stream";
import { Context, defineMiddleware } from "@iopa/appbuilder";
import { Codec } from "@iopa/transport";
interface FormReader {
    read(): Promise<Form>;
}
declare class Form {
    readonly fields: URLSearchParams;
    readonly files: readonly FormFile[];
    constructor(fields: URLSearchParams, files: readonly FormFile[]);
    file(field: string): FormFile | undefined;
    values(): Record<string, string | string[]>;
}
interface FileHead {
    readonly field: string;
    readonly name: string;
    readonly type: string;
}
interface IncomingFile extends FileHead {
    readonly stream: Readable;
}
declare class FormFile implements FileHead {
    #private;
    readonly field: string;
    readonly name: string;
    readonly type: string;
    readonly size: number;
    readonly value: unknown;
    constructor({ field, name, type }: FileHead, size: number, path: string, value?: unknown);
    get path(): string;
    moveTo(target: string): Promise<void>;
}
interface FormLimits {
    readonly total?: number;
    readonly fields?: number;
    readonly fieldSize?: number;
    readonly fieldNameSize?: number;
    readonly files?: number;
    readonly fileSize?: number;
    readonly parts?: number;
}
type FileHandler = (file: IncomingFile, context: Context) => unknown;
interface FileDirectory {
    readonly directory: string;
}
interface FormsOptions {
    readonly limits?: FormLimits;
    readonly files?: FileDirectory | FileHandler;
}
type FormsMiddleware = ReturnType<typeof defineMiddleware<never, "forms.Form">>;
declare const forms: (options?: FormsOptions) => FormsMiddleware;
declare const urlencoded: () => Codec;
declare module "@iopa/constants" {
    interface IopaKeys {
        "forms.Form": FormReader;
    }
}
export { Form, FormFile, forms, urlencoded };
export type { FileDirectory, FileHandler, FormLimits, FormReader, FormsMiddleware, FormsOptions, IncomingFile };
