import { createHash } from 'node:crypto'
import type { Encoding } from './encodings.ts'
import type { FileInfo, OpenFile } from './source.ts'

/**
 * Which entity-tags the answers carry: `strong` (what the source says changes with every change: inode, size, times),
 * `weak` (size and modification time, equal on several machines that have the same tree), `hash` (of the content), or none.
 */
export type EtagPolicy = 'strong' | 'weak' | 'hash' | false

const HASH_CHUNK = 1 << 20

/** The entity-tag from what the source says about a file; `hash` needs the content instead. */
export const etagOf = (info: FileInfo, encoding: Encoding | undefined, policy: 'strong' | 'weak' | false): string | undefined => {
  if (policy === false) return undefined
  // Representations of one resource must differ in their tags even where their files would not (RFC 9110 section 8.8.3.3).
  const suffix = encoding === undefined ? '' : `-${encoding}`
  return policy === 'strong' ? `"${info.version}${suffix}"` : `W/"${info.size.toString(36)}-${Math.floor(info.lastModified).toString(36)}${suffix}"`
}

/** The entity-tag from the content; rejects when the file gets shorter while it is read. */
export const hashOf = async (file: OpenFile, encoding: Encoding | undefined): Promise<string> => {
  const hash = createHash('sha256')
  for (let at = 0; at < file.info.size; ) {
    const chunk = await file.read(at, Math.min(at + HASH_CHUNK, file.info.size))
    if (chunk.length === 0) throw new Error('the file got shorter while it was being read')
    hash.update(chunk)
    at += chunk.length
  }
  return `"${hash.digest('base64url').slice(0, 22)}${encoding === undefined ? '' : `-${encoding}`}"`
}
