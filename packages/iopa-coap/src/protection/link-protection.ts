import type { Logger, MessageProtection, OpenOptions, RequestProtection } from '@iopa/transport'
import type { LinkProtection } from '../client/link-init.ts'
import { linkProtectionOf } from './protected-requester.ts'
import { useProtection } from './shared-protection.ts'

const NO_LOG: Logger = { error() {}, warn() {}, info() {}, debug() {} }

/** How requests to the server of a URL are protected; undefined where they are not. */
export const linkProtection = async (protect: MessageProtection, url: URL, { clock, limits }: OpenOptions): Promise<LinkProtection | undefined> => {
  const use = await useProtection(protect, { clock, limits, logger: NO_LOG })
  let protection: RequestProtection | undefined
  try {
    protection = use.active.requests(url)
  } finally {
    if (protection === undefined) await use.release()
  }
  if (protection === undefined) return undefined
  return linkProtectionOf({ protection, option: protect.option, clock, timeout: limits.requestTimeout }, use.release)
}
