import { type MessageProtection, markFactory } from '@iopa/transport'
import { OPTION } from './messages/option-numbers.ts'
import { checkOscoreOptions, type OscoreOptions } from './options.ts'
import { Protection } from './protection.ts'

/**
 * Protects messages of CoAP from end to end (RFC 8613): `coap({ protect: oscore({ contexts }) })`. What uses one value shares its state: give the same one
 * to a listener and to a client that have the same contexts.
 * @throws IopaError 500 `bad-option`
 */
export const oscore = (options: OscoreOptions): MessageProtection => {
  const contexts = checkOscoreOptions(options, oscore)
  const { require = false, store } = options
  let running: Protection | undefined
  let users = 0
  return {
    name: 'oscore',
    option: OPTION.OSCORE,
    exclusive: require === true,
    start: async environment => {
      running ??= new Protection(contexts, require, store, environment)
      const protection = running
      users++
      const release = async (): Promise<void> => {
        users--
        if (users > 0) return
        running = undefined
        await protection.close()
      }
      try {
        await protection.ready
      } catch (error) {
        await release()
        throw error
      }
      return protection.use(release)
    }
  }
}

markFactory('oscore()', oscore as never)
