// Who uses the greenhouse, and who may do what.
import { anyOf, apiKey, basic, bearer, type OptionalAuthentication, type Rule, sameSecret, verifyPassword } from '@iopa/auth'

/** A person, with what `hashPassword` gave for the password. */
export interface Person {
  readonly id: string
  readonly password: string
  readonly roles: readonly string[]
}

/** The device in a bed; `id` is that of the bed and of its valve. */
export interface Device {
  readonly id: string
  readonly key: string
}

/** The person of a name and a password. */
export const passwordsOf = (people: readonly Person[]) => async (name: string, password: string) => {
  const person = people.find(({ id }) => id === name)
  return (await verifyPassword(password, person?.password)) && person !== undefined ? { id: name, roles: person.roles } : undefined
}

/** The device of a key. */
export const keysOf = (devices: readonly Device[]) => (key: string) => {
  const device = devices.find(known => sameSecret(key, known.key))
  return device && { id: device.id, roles: ['device'] }
}

/** Devices send their key as they can; scripts of people send Basic, which browsers are not asked for, as the page has a form. */
export const credentials = (personOf: ReturnType<typeof passwordsOf>, deviceOf: ReturnType<typeof keysOf>): OptionalAuthentication =>
  anyOf(
    [
      bearer({ verify: deviceOf, connectPassword: true }),
      apiKey({ verify: deviceOf, query: 'key' }),
      basic({ verify: personOf, challenge: false, remember: 60_000 })
    ],
    { optional: true }
  )

export const RULES: readonly Rule[] = [
  { anyone: true, may: 'read', to: ['/', '/main.js', '/style.css', '/icon.svg'] },
  { anyone: true, to: '/session' },
  { roles: 'device', owner: 'id', may: 'PUT', to: '/beds/{id}' },
  { roles: 'device', owner: 'id', may: 'read', to: '/valves/{id}' },
  { roles: 'gardener', may: 'change', to: ['/valves/{id}', '/photos/{id}'] },
  { roles: ['gardener', 'visitor'], may: 'read', to: ['/beds/#', '/valves/#', '/photos/#'] },
  { roles: ['gardener', 'visitor'], may: 'read', to: ['/docs', '/openapi.json', '/asyncapi.json', '/things/#', '/.well-known/#'] },
  { roles: 'operator', may: 'read', to: '/metrics' }
]
