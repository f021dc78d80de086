package config

import (
	"time"

	"keepsake/daemon/guard"
	"keepsake/daemon/schedule"
	"keepsake/store/retention"
)

// This file is the table of all keys. What a key's value must look like, what
// it is when the file does not say, and why, stands here and nowhere else.

// Keys is the table as others read it, in the order of the file.
func Keys() []Key {
	var all []Key
	all = appendKeys(all, "", globalKeys())
	all = appendKeys(all, "notify", notifyKeys())
	all = appendKeys(all, "defaults", defaultKeys())
	all = appendKeys(all, "source", ownKeys())
	return appendKeys(all, "source.output", outputKeys())
}

func appendKeys[S any](all []Key, section string, fields []field[S]) []Key {
	for _, f := range fields {
		k := f.key()
		k.Section = section
		all = append(all, k)
	}
	return all
}

// globalKeys stand at the top of the file.
func globalKeys() []field[Config] {
	return []field[Config]{
		setting("profile", choiceKind(Production, Development), func(c *Config) *string { return &c.Profile }).
			means("the set of defaults that everything else begins with").
			usually(Production, "what keeps people's work is careful unless it is told to be quick"),
		setting("repository", pathKind, func(c *Config) *string { return &c.Repository }).
			means("the directory of the encrypted repository").
			usually("", "keepsake's directory among the user's data; a disk of its own is better").needsRestart(),
		setting("mount", pathKind, func(c *Config) *string { return &c.Mount }).
			means("the directory in which snapshots are shown as folders").
			usually("", "~/Keepsake for people, /run/keepsake/view for the service").needsRestart(),
		setting("allow-other", boolKind, func(c *Config) *bool { return &c.AllowOther }).
			means("whether the service, or root's keepsake up, lets other users into the view, with the permissions that files had").
			usually(true, "snapshots that only root can open help nobody; who could not read a file cannot read its snapshots").needsRestart(),
		setting("no-exec", boolKind, func(c *Config) *bool { return &c.NoExec }).
			means("whether it is forbidden to run programs out of the view").
			usually(false, "an old version of a tool may be what is looked for; setuid bits and devices never count there").needsRestart(),
		setting("cache", cacheKind, func(c *Config) *int64 { return &c.Cache }).
			means("how much memory decrypted files take while snapshots are shown, of the service at most half of memory; a quarter of it is for reading ahead of players and copies").
			usually(64<<20, "four videos are played at once out of it, and a NAS with 1 GiB has it to spare").needsRestart(),
		setting("read-ahead", readAheadKind, func(c *Config) *int64 { return &c.ReadAhead }).
			means("how far the kernel reads ahead of a program that reads a file of the view from its beginning; 0 leaves that to the kernel; takes root").
			usually(UsualReadAhead, "a copy is a quarter faster than with the kernel's own 128KiB; much more makes small reads of mapped files dearer").needsRestart(),
		setting("key-file", pathKind, func(c *Config) *string { return &c.KeyFile }).
			means("the file that opens the repository besides the recovery code; keep a copy of it elsewhere").
			usually("", "the file key beside the configuration, if there is one").needsRestart(),
		setting("group", groupKind, func(c *Config) *string { return &c.Group }).
			means("the group whose members may ask for status, snapshots, backup-now and ack").
			usually("", "names of files are private: nobody but root and the daemon's own user looks on").needsRestart(),
		setting("metrics", loopbackKind, func(c *Config) *string { return &c.Metrics }).
			means("the loopback address that serves /metrics, such as 127.0.0.1:9273").
			usually("", "the daemon's socket has them as well, and listens to no network").needsRestart(),
		setting("max-read", rateKind(1<<20, "at less than 1MiB/s a video card is never read to its end"), func(c *Config) *int64 { return &c.MaxRead }).
			means("how much is read from sources per second at most; 0 sets no limit").
			usually(0, "the sooner a card is read, the sooner it is safe; gentle keeps the machine usable meanwhile"),
		setting("memory", sizeKind(64<<20, "the indexes of a library need 64MiB"), func(c *Config) *int64 { return &c.Memory }).
			means("how much memory the daemon aims to stay below").
			usually(256<<20, "a library of a million files needs 200 MiB, and a small NAS has 1 GiB").needsRestart(),
		setting("gentle", boolKind, func(c *Config) *bool { return &c.Gentle }).
			means("whether reading gives way to other programs").
			usually(true, "whoever edits on this machine comes first; a backup can wait for a second").
			developing(false, "who waits for a test waits for nothing else").needsRestart(),
	}
}

// notifyKeys stand below [notify].
func notifyKeys() []field[Notify] {
	return []field[Notify]{
		setting("command", programKind, func(n *Notify) *[]string { return &n.Command }).
			means("the program, with its arguments, that is told as JSON on its standard input when a source fails, degrades, recovers").
			usually(nil, "nobody can guess how you want to be told; keepsake status always knows"),
		setting("timeout", durationKind(time.Second, "a message needs a second to be sent"), func(n *Notify) *time.Duration { return &n.Timeout }).
			means("how long the program may take before it is ended and tried again").
			usually(30*time.Second, "a mail server that answers at all answers within this").
			developing(5*time.Second, "a mistake should show at once"),
	}
}

// defaultKeys stand below [defaults], and below [[source]] for one source.
func defaultKeys() []field[Source] {
	all := scheduleKeys()
	all = append(all, setting("keep", everythingKind, func(s *Source) *retention.Policy { return &s.Keep }).
		means(`"everything" if no snapshot is ever to be forgotten; else the rules keep.daily and so on, each with its own default`))
	all = append(all, lift("keep", keepKeys(), func(s *Source) *retention.Policy { return &s.Keep }, func(p *retention.Policy) bool { return !p.Zero() })...)
	all = append(all, contentKeys()...)
	all = append(all, commandKeys()...)
	return append(all, lift("guards", guardKeys(), func(s *Source) *guard.Thresholds { return &s.Guard }, nil)...)
}

func scheduleKeys() []field[Source] {
	return []field[Source]{
		setting("every", durationKind(0, ""), func(s *Source) *time.Duration { return &s.Schedule.Every }).
			means("the shortest time between two snapshots of a source that has changed; 0s takes one as soon as changes rest").
			usually(0, "a photo is safe within 20 s of its last write"),
		setting("at", timesKind, func(s *Source) *[]schedule.Time { return &s.Schedule.At }).
			means(`the times at which a snapshot is taken, such as "02:30" or "Mon..Fri 12:00"; one that was slept through is caught up`).
			usually(nil, "changes are followed as they come; dumps and quiet hours need a time"),
		setting("random-delay", durationKind(0, ""), func(s *Source) *time.Duration { return &s.Schedule.Delay }).
			means("how much later than its time a snapshot may begin, by chance").
			usually(0, "one machine collides with nobody; several that store to one NAS do better with 5m"),
		setting("settle", durationKind(time.Millisecond, "a file that is read while it is written is stored half; 5s suits most"), func(s *Source) *time.Duration { return &s.Settle }).
			means("how long a file must be quiet before it is read").
			usually(5*time.Second, "programs that write in bursts pause for two or three seconds").
			developing(500*time.Millisecond, "tests write their files at once").forOnly("path"),
		setting("scan", durationKind(time.Second, "scans are what finds changes that no event told of; 24h suits most"), func(s *Source) *time.Duration { return &s.Scan }).
			means("the time between two scans of everything, whatever events say").
			usually(24*time.Hour, "events miss some writes, and no change should stay unseen for longer than a day").
			developing(time.Hour, "an hour of events is what a developer remembers").forOnly("path"),
		setting("poll", durationKind(time.Second, "each poll looks at every directory; 15m suits most"), func(s *Source) *time.Duration { return &s.Poll }).
			means("the same where events never arrive: network and FUSE file systems").
			usually(15*time.Minute, "a NAS answers for 300,000 files in seconds, and its disks may sleep in between").
			developing(10*time.Second, "a developer waits for it").forOnly("path"),
	}
}

// keepKeys are the rules of what is kept. Each is a key with its own default:
// who asks for one more rule never loses the others by it.
func keepKeys() []field[retention.Policy] {
	return []field[retention.Policy]{
		setting("last", countKind, func(p *retention.Policy) *int { return &p.Last }).
			means("how many of the newest snapshots are kept").
			usually(0, "within does better: a busy hour would use up any number"),
		setting("hourly", countKind, func(p *retention.Policy) *int { return &p.Hourly }).
			means("of how many hours the newest snapshot is kept; hours without one do not count").
			usually(0, "within keeps every snapshot of the last two days anyway"),
		setting("daily", countKind, func(p *retention.Policy) *int { return &p.Daily }).
			means("the same by days").
			usually(7, "what was lost on Monday is missed by Friday"),
		setting("weekly", countKind, func(p *retention.Policy) *int { return &p.Weekly }).
			means("the same by ISO weeks").
			usually(4, "a job is delivered and accepted within a month"),
		setting("monthly", countKind, func(p *retention.Policy) *int { return &p.Monthly }).
			means("the same by months").
			usually(12, "a damaged photo of last season is found in the next"),
		setting("yearly", countKind, func(p *retention.Policy) *int { return &p.Yearly }).
			means("the same by years").
			usually(0, "a year of a studio is tens of terabytes: keep it if you have room"),
		setting("within", durationKind(0, ""), func(p *retention.Policy) *time.Duration { return &p.Within }).
			means("how far back every snapshot is kept").
			usually(48*time.Hour, "mistakes are noticed the next day, and then the hour matters"),
		setting("tags", listKind("list of texts", nonEmptyKind), func(p *retention.Policy) *[]string { return &p.Tags }).
			means("tags whose snapshots are kept whatever their age").
			usually(nil, "tags mean what you want them to"),
	}
}

// contentKeys say which files of a directory are looked at, and how.
func contentKeys() []field[Source] {
	return []field[Source]{
		setting("exclude", listKind("list of patterns", patternKind), func(s *Source) *[]string { return &s.Exclude }).
			means("patterns, as in .gitignore, of what is left out").
			usually(nil, "what looks superfluous today is asked for in a year").forOnly("path"),
		setting("presets", listKind("list of presets", presetKind), func(s *Source) *[]string { return &s.Presets }).
			means("named sets of patterns that keepsake brings along; what they drop is named in every snapshot").
			usually(nil, "leaving out is your decision").forOnly("path"),
		setting("cachedir-tag", boolKind, func(s *Source) *bool { return &s.CacheDirTag }).
			means("whether directories are left out that programs have marked as caches (CACHEDIR.TAG)").
			usually(false, "leaving out is your decision").forOnly("path"),
		setting("reread", sizeKind(1<<20, "a photo has more than 1MiB; 0 switches it off"), func(s *Source) *int64 { return &s.Reread }).
			means("how many bytes a day are read again to find files that rot; 0 switches it off").
			usually(16<<30, "three minutes of one disk a day, and a terabyte in two months").
			developing(64<<20, "shows that it works").forOnly("path"),
	}
}

// commandKeys say what runs around a source's snapshot.
func commandKeys() []field[Source] {
	return []field[Source]{
		setting("before", commandsKind, func(s *Source) *[][]string { return &s.Before }).
			means("commands that run before each snapshot; if one fails, the snapshot is degraded").
			usually(nil, "files on disk need no help"),
		setting("after", commandsKind, func(s *Source) *[][]string { return &s.After }).
			means("commands that run after each snapshot, whether it went well or not").
			usually(nil, "what was not stopped need not be started"),
		setting("timeout", durationKind(time.Second, "a program needs a second to start"), func(s *Source) *time.Duration { return &s.Timeout }).
			means("how long each command may take before it is ended").
			usually(time.Hour, "a dump that takes longer is stuck, or wants a time-out of its own").
			developing(time.Minute, "a developer looks what hangs"),
		setting("min-share", shareKind, func(s *Source) *float64 { return &s.MinShare }).
			means("the share of its last size that the output of a command must reach, else the snapshot is degraded; 0 switches it off").
			usually(0.5, "a dump that halves has lost a table, or its disk was full").forOnly("command"),
	}
}

// sourceKeys stand below [[source]].
func sourceKeys() []field[Source] { return append(ownKeys(), defaultKeys()...) }

// ownKeys are those that only one source can have.
func ownKeys() []field[Source] {
	all := []field[Source]{
		setting("label", labelKind, func(s *Source) *string { return &s.Label }).
			means("what the source is called, and its folder in the view; it stays bound to the source"),
		setting("path", pathKind, func(s *Source) *string { return &s.Path }).
			means("the directory to keep"),
		setting("require", listKind("list of relative paths", insideKind), func(s *Source) *[]string { return &s.Require }).
			means("files and directories that must exist and not be empty, else the snapshot is degraded").
			usually(nil, "only you know what must be there").forOnly("path"),
	}
	return append(all, lift("", outputKeys(), mainOutput, func(o *Output) bool { return len(o.Command) > 0 })...)
}

// outputKeys stand below [[source.output]], and below [[source]] for the output
// that the source is about.
func outputKeys() []field[Output] {
	return []field[Output]{
		setting("command", requiredCommand, func(o *Output) *[]string { return &o.Command }).
			means("instead of a path: the command whose standard output is kept").forOnly("command"),
		setting("file", insideKind, func(o *Output) *string { return &o.File }).
			means("the file that the output becomes").forOnly("command"),
	}
}

// mainOutput is the first output; one that counts for nothing if there is none.
func mainOutput(s *Source) *Output {
	if len(s.Outputs) == 0 {
		return &Output{}
	}
	return &s.Outputs[0]
}
