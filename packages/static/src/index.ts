/**
 * Files as resources of an IOPA app: the same tree, validators and policies on every protocol.
 *
 * @example
 * const app = new App().use(serveStatic('./public')).use(http({ port: 8080 })).use(coap())
 * await app.listen()
 */

export type { Encoding } from './encodings.ts'
export type { FileSystemOptions, SymlinkPolicy } from './file-system.ts'
export { fileSystem } from './file-system.ts'
export type { MediaTypeOptions } from './media-types.ts'
export type { MemoryContent, MemoryFileOptions, MemorySource } from './memory.ts'
export { memory } from './memory.ts'
export type { DotfilePolicy, NamePolicy } from './names.ts'
export type { CacheOptions, HeaderOption, StaticOptions } from './options.ts'
export type { EtagPolicy, Representation } from './representation.ts'
export type { ByteRange, DirectoryEntry, FileInfo, FileSource, OpenFile } from './source.ts'
export { serveStatic } from './static.ts'
