import type { MiddlewareFunction, MiddlewareObject } from '@iopa/appbuilder'
import { checkOptions, optionError } from '@iopa/appbuilder/extension'
import { givenAddresses } from './model/addresses.ts'
import type { ApiInfo } from './model/description.ts'
import type { Viewer } from './viewer.ts'

/** What is said of an app, and where clients reach it. */
export interface ApiOptions extends ApiInfo {
  /** The public addresses of the app, such as `['https://api.example.com', 'mqtts://broker.example.com']`; those of its listeners unless given. */
  readonly servers?: readonly string[]
}

/** Where documents are served; false for one that is not. */
export interface DocumentPaths {
  /** `/openapi.json` unless given. */
  readonly openapi?: string | false
  /** `/asyncapi.json` unless given. */
  readonly asyncapi?: string | false
  /** `/.well-known/wot` unless given. */
  readonly thing?: string | false
  /** `/things` unless given: Thing Descriptions of the instances of resources. */
  readonly things?: string | false
  /** `/docs` unless given. */
  readonly page?: string | false
}

/** Options of `documents()`. */
export interface DocumentsOptions extends ApiOptions {
  /**
   * Documents show the user of a request only the routes that this user may see. `true` relies on the guards that stand before the router; middleware
   * given here runs before the documents alone.
   */
  readonly protect?: true | MiddlewareFunction | MiddlewareObject | readonly (MiddlewareFunction | MiddlewareObject)[]
  /** Shows the page; a plain page of our own unless given. */
  readonly viewer?: Viewer
  readonly paths?: DocumentPaths
}

const API_OPTIONS: Record<keyof ApiOptions, true> = { title: true, version: true, description: true, contact: true, license: true, servers: true }
const OPTIONS: Record<keyof DocumentsOptions, true> = { ...API_OPTIONS, protect: true, viewer: true, paths: true }
const PATHS: Record<keyof DocumentPaths, true> = { openapi: true, asyncapi: true, thing: true, things: true, page: true }

const DEFAULT_PATHS: Readonly<Record<keyof DocumentPaths, string>> = {
  openapi: '/openapi.json',
  asyncapi: '/asyncapi.json',
  thing: '/.well-known/wot',
  things: '/things',
  page: '/docs'
}

/** Paths of all documents; undefined for one that is not served. */
export type ServedPaths = Readonly<Record<keyof DocumentPaths, string | undefined>>

/** @throws IopaError 500 that names what is missing or does not exist. */
export const checkApiOptions = (name: string, options: ApiOptions, caller: unknown, known: Readonly<Record<string, true>> = API_OPTIONS): void => {
  checkOptions(name, options, known, caller)
  for (const member of ['title', 'version'] as const)
    if (typeof options?.[member] !== 'string' || options[member] === '')
      throw optionError(`${name} needs the ${member} of the app: write ${name.replace('()', '')}({ title: 'Home', version: '1.0.0' }).`)
  if (options.servers !== undefined) givenAddresses(options.servers)
}

/** @throws IopaError 500 that names what is missing or does not exist. */
export const checkDocumentsOptions = (options: DocumentsOptions, caller: unknown): void => {
  checkApiOptions('documents()', options, caller, OPTIONS)
  checkOptions("'paths' of documents()", options.paths, PATHS, caller)
  if (options.viewer !== undefined && typeof options.viewer.files !== 'function')
    throw optionError(
      "'viewer' of documents() takes a viewer: import { scalar } from '@iopa/documents/scalar', then documents({ viewer: scalar() })."
    )
}

/** Where each document is served. */
export const servedPaths = (paths: DocumentPaths = {}): ServedPaths =>
  Object.fromEntries(
    Object.entries(DEFAULT_PATHS).map(([name, path]) => {
      const given = paths[name as keyof DocumentPaths]
      return [name, given === false ? undefined : (given ?? path)]
    })
  ) as ServedPaths

/** The members of the Info Object. */
export const infoOf = ({ title, version, description, contact, license }: ApiInfo): ApiInfo => ({
  title,
  version,
  ...(description === undefined ? undefined : { description }),
  ...(contact === undefined ? undefined : { contact }),
  ...(license === undefined ? undefined : { license })
})
