import { type Context, IopaError } from '@iopa/appbuilder'
import type { ResourceContract } from '@iopa/appbuilder/extension'
import type { Clock } from '@iopa/transport'
import type { DocumentKeys } from './document-keys.ts'
import type { Kept } from './documents.ts'
import { typeMark } from './type-mark.ts'

type Compute = (state: unknown, about: unknown) => unknown

/** The state of a document with its computed members. */
export type Represent = (document: Kept) => unknown

/** @throws IopaError 500 where a computed member is declared and not made, or the other way round. */
export const representation = (
  contract: ResourceContract,
  computed: Readonly<Record<string, Compute>>,
  keys: DocumentKeys,
  clock: Clock
): Represent => {
  const declared = Object.keys(contract.computed ?? {})
  const given = Object.keys(computed)
  const missing = declared.find(name => !given.includes(name))
  const surplus = given.find(name => !declared.includes(name))
  if (missing !== undefined || surplus !== undefined)
    throw new IopaError(
      500,
      'bad-store',
      missing !== undefined
        ? `The resource ${contract.pattern} declares the computed member '${missing}': write store(contract, { computed: { ${missing}: (state, about) => ... } }).`
        : `The resource ${contract.pattern} declares no computed member '${surplus}': add it to its declaration.`
    )
  if (declared.length === 0) return ({ state }) => state
  const members = declared.map(name => [name, computed[name] as Compute] as const)
  return ({ key, state, version, changed }) => {
    const about = { id: keys.idOf(key), version, changed, now: clock.now() }
    return { ...(state as object), ...Object.fromEntries(members.map(([name, compute]) => [name, compute(state, about)])) }
  }
}

/** The entity tag of a document in the media type of an answer: its version, a letter, and the mark of the type. It fits CoAP (RFC 7252 section 5.10.6). */
export const tagOf = (document: Kept, context: Context): string => {
  const mark = typeMark(context)
  if (mark !== '') return tagText(document, mark)
  if (document.tag === '') document.tag = tagText(document, '')
  return document.tag
}

const tagText = ({ version }: Kept, mark: string): string => `"${version.toString(36)}${LETTER}${mark}"`

/** No digit of a hexadecimal number, which CoAP would read as bytes. */
const LETTER = 'j'

const TAG = /^"?([0-9a-z]{1,7})[a-z][A-Z]?"?$/

/** The version of an entity tag, with its quotes or without; undefined for another tag. */
export const versionOf = (tag: string): number | undefined => {
  const digits = TAG.exec(tag.trim())?.[1]
  return digits === undefined ? undefined : Number.parseInt(digits, 36)
}

/** True for an entity tag of any representation of a version. */
export const isVersionTag = (tag: string, version: number): boolean => /^"([0-9a-z]{1,7})[a-z][A-Z]?"$/.exec(tag)?.[1] === version.toString(36)
