// Names that mean something else to Windows are refused on every system, so that a tree is equally safe wherever it is deployed.
const DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3]) *(?:\.|$)/i
// A short alias that Windows gives to a longer name, `GIT~1` for `.git`.
const SHORT_ALIAS = /^[^.~]{1,6}~\d{1,6}(?:\.[^.]{0,3})?$/
// HFS+ ignores these, so one in front of a dot would hide the dot from the check.
const IGNORABLE_START = /^[\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/
const FORBIDDEN = /[\u0000-\u001f\u007f\\/]/

/** Longer names exist on no common file system. */
const MAX_NAME_LENGTH = 255

/** Which names are served: those that every system reads alike, or also names with a colon and names of Windows devices. */
export type NamePolicy = 'portable' | 'posix'

/** True for a name that is one segment, and the same segment, on every file system. */
export const isPortableName = (name: string): boolean => !name.includes(':') && !DEVICE.test(name) && isPlainName(name)

/** True for a name that the policy admits on this system. On Windows both policies are the same. */
export const isServableName = (name: string, policy: NamePolicy, platform: string = process.platform): boolean =>
  policy === 'posix' && platform !== 'win32' ? isPlainName(name) : isPortableName(name)

// File systems of other systems can be mounted anywhere: on FAT a short alias also works under Linux.
const isPlainName = (name: string): boolean => {
  if (name === '' || name.length > MAX_NAME_LENGTH || FORBIDDEN.test(name)) return false
  if (SHORT_ALIAS.test(name) || IGNORABLE_START.test(name)) return false
  const last = name.charCodeAt(name.length - 1)
  // A trailing dot or space is dropped by Windows; `.` and `..` end here too.
  return last !== 0x2e && last !== 0x20
}

/** Names with a leading dot: all hidden, all served, or only the listed ones served. */
export type DotfilePolicy = 'deny' | 'allow' | readonly string[]

/** True when a name with a leading dot is not to be served. */
export const isHiddenName = (name: string, policy: DotfilePolicy): boolean =>
  name.charCodeAt(0) === 0x2e && policy !== 'allow' && (policy === 'deny' || !policy.includes(name))

/** Which names a middleware for files serves. */
export interface NameRules {
  readonly dotfiles: DotfilePolicy
  readonly names: NamePolicy
}

/** True for a name that may be served. */
export const isServed = (name: string, { dotfiles, names }: NameRules): boolean => isServableName(name, names) && !isHiddenName(name, dotfiles)

/** The segments of a canonical path, or undefined when one of them may not be served. */
export const servableSegments = (path: string, rules: NameRules): readonly string[] | undefined => {
  if (path.charCodeAt(0) !== 0x2f) return undefined
  if (path.length === 1) return []
  const segments = path.slice(1).split('/')
  for (const segment of segments) if (!isServed(segment, rules)) return undefined
  return segments
}
