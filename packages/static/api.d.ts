// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { RandomAccessBody, Clock } from "@iopa/transport";
import { MiddlewareFunction } from "@iopa/appbuilder";
type Encoding = "br" | "zstd" | "gzip";
type NamePolicy = "portable" | "posix";
type DotfilePolicy = "deny" | "allow" | readonly string[];
interface FileInfo {
    readonly kind: "file" | "directory";
    readonly size: number;
    readonly lastModified: number;
    readonly version: string;
    readonly mediaType?: string;
}
interface ByteRange {
    readonly start: number;
    readonly end: number;
}
interface OpenFile {
    readonly info: FileInfo;
    read(start: number, end: number): Promise<Uint8Array>;
    isUnchanged?(): Promise<boolean>;
    close(): Promise<void>;
}
interface DirectoryEntry {
    readonly name: string;
    readonly kind: "file" | "directory";
}
interface FileSource {
    stat(path: string): Promise<FileInfo | undefined>;
    open(path: string): Promise<OpenFile | undefined>;
    list?(path: string, limit: number): Promise<readonly DirectoryEntry[]>;
}
type SymlinkPolicy = "inside-root" | "follow" | "deny";
interface FileSystemOptions {
    readonly symlinks?: SymlinkPolicy;
    readonly names?: NamePolicy;
}
declare const fileSystem: (root: string | URL, options?: FileSystemOptions) => FileSource;
interface MediaTypeOptions {
    readonly mediaTypes?: Readonly<Record<string, string>>;
    readonly charset?: string | false;
}
type MemoryContent = string | Uint8Array;
interface MemoryFileOptions {
    readonly mediaType?: string;
    readonly lastModified?: number;
}
interface MemorySource extends FileSource {
    set(path: string, content: MemoryContent, options?: MemoryFileOptions): void;
    delete(path: string): boolean;
}
declare const memory: (files?: Readonly<Record<string, MemoryContent>>) => MemorySource;
type EtagPolicy = "strong" | "weak" | "hash" | false;
interface Representation {
    readonly etag: string | undefined;
    readonly lastModified: number;
    readonly size: number;
    readonly mediaType: string;
    readonly encoding: Encoding | undefined;
    open(range?: ByteRange, signal?: AbortSignal): Promise<Uint8Array | (RandomAccessBody & AsyncDisposable) | undefined>;
}
interface CacheOptions {
    readonly maxBytes?: number;
    readonly maxFiles?: number;
    readonly maxFileSize?: number;
}
type HeaderOption = Readonly<Record<string, string>> | ((path: string, representation: Representation) => Readonly<Record<string, string>>);
interface StaticOptions extends MediaTypeOptions {
    readonly index?: readonly string[];
    readonly extensions?: readonly string[];
    readonly precompressed?: boolean | readonly Encoding[];
    readonly etag?: EtagPolicy;
    readonly maxAge?: number;
    readonly immutable?: boolean;
    readonly headers?: HeaderOption;
    readonly dotfiles?: DotfilePolicy;
    readonly names?: NamePolicy;
    readonly symlinks?: SymlinkPolicy;
    readonly redirect?: boolean;
    readonly listing?: boolean | "auto";
    readonly cache?: CacheOptions;
    readonly watchInterval?: number;
    readonly fallback?: string;
    readonly clock?: Clock;
}
declare const serveStatic: (root: string | URL | FileSource, options?: StaticOptions) => MiddlewareFunction;
export { fileSystem, memory, serveStatic };
export type { ByteRange, CacheOptions, DirectoryEntry, DotfilePolicy, Encoding, EtagPolicy, FileInfo, FileSource, FileSystemOptions, HeaderOption, MediaTypeOptions, MemoryContent, MemoryFileOptions, MemorySource, NamePolicy, OpenFile, Representation, StaticOptions, SymlinkPolicy };
