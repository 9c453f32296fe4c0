/** What a path names in a source. */
export interface FileInfo {
  readonly kind: 'file' | 'directory'
  /** Bytes; 0 for a directory. */
  readonly size: number
  /** Milliseconds since the epoch. */
  readonly lastModified: number
  /** Text of visible ASCII without quotes that differs whenever the content may differ; it becomes the strong entity-tag. */
  readonly version: string
  /** Media type, where the source knows better than the extension of the name. */
  readonly mediaType?: string
}

/** A part of a file: bytes `start` to `end`, the end not included. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** An open file; its content and its info belong to the same file, even if the path changes. */
export interface OpenFile {
  readonly info: FileInfo
  /** Reads at most `end - start` bytes from `start`; empty only at the end of the file. */
  read(start: number, end: number): Promise<Uint8Array>
  /** False when the file has been written to since it was opened. A source whose open files cannot change has no need of it. */
  isUnchanged?(): Promise<boolean>
  /** May be called again. */
  close(): Promise<void>
}

/** A member of a directory. */
export interface DirectoryEntry {
  readonly name: string
  readonly kind: 'file' | 'directory'
}

/**
 * Where files come from: a folder, memory, an archive, a key-value store.
 * Paths are canonical: decoded, beginning with `/`, without empty, `.` or `..` segments, without a final slash but for the root itself.
 * What is not there, or may not be served, is `undefined`; an error is for what broke.
 */
export interface FileSource {
  stat(path: string): Promise<FileInfo | undefined>
  open(path: string): Promise<OpenFile | undefined>
  /** The members of a directory, at most `limit` of them. A source without it has no listings. */
  list?(path: string, limit: number): Promise<readonly DirectoryEntry[]>
}
