//! The tables, as the migrations leave them.

diesel::table! {
    hosts (id) {
        id -> Integer,
        uuid -> Text,
        name -> Text,
        cpu_millis -> BigInt,
        memory_mib -> BigInt,
        inventory -> Nullable<Text>,
        engine_up -> Bool,
        console -> Nullable<Text>,
        console_trouble -> Nullable<Text>,
        interval_seconds -> Integer,
        leaving -> Bool,
        disabled -> Bool,
        disabled_reason -> Nullable<Text>,
        forced_down -> Bool,
        report_count -> BigInt,
        last_seen -> Timestamp,
        created_at -> Timestamp,
        updated_at -> Timestamp,
        heartbeat_generation -> BigInt,
        epoch -> BigInt,
        heartbeat_epoch -> BigInt,
        engine_id -> Nullable<Text>,
        protocol -> Integer,
        last_sequence -> BigInt,
        used_cpu_millis -> BigInt,
        used_memory_mib -> BigInt,
        used_containers -> BigInt,
        agent_sequence -> Nullable<BigInt>,
        recovered_sequence -> BigInt,
        strays -> Nullable<Text>,
        stray_cpu_millis -> BigInt,
        stray_memory_mib -> BigInt,
        removed_at -> Nullable<Timestamp>,
        disk_gib -> BigInt,
        used_disk_gib -> BigInt,
        agent_state -> Nullable<Text>,
        agent_boot -> Nullable<Text>,
        engine_data -> Nullable<Text>,
        refusal -> Nullable<Text>,
        refused_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    cluster (id) {
        id -> Integer,
        uuid -> Text,
    }
}

diesel::table! {
    containers (id) {
        id -> BigInt,
        uuid -> Text,
        project_id -> Text,
        user_id -> Text,
        name -> Text,
        image -> Text,
        cpu_millis -> BigInt,
        memory_mib -> BigInt,
        tty -> Bool,
        interactive -> Bool,
        auto_remove -> Bool,
        spec -> Text,
        start_wanted -> Bool,
        host -> Nullable<Text>,
        engine_id -> Nullable<Text>,
        epoch -> BigInt,
        generation -> BigInt,
        status -> Text,
        status_reason -> Nullable<Text>,
        status_detail -> Nullable<Text>,
        task_state -> Nullable<Text>,
        exit_code -> Nullable<BigInt>,
        oom_killed -> Bool,
        attached -> Integer,
        image_pull -> Nullable<Text>,
        started_at -> Nullable<Timestamp>,
        finished_at -> Nullable<Timestamp>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
        deleted_at -> Nullable<Timestamp>,
        gone_at -> Nullable<Timestamp>,
        claim_held -> Bool,
        run -> BigInt,
        live -> Nullable<Text>,
        disk_gib -> BigInt,
        revision -> BigInt,
        heal_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    operations (id) {
        id -> BigInt,
        uuid -> Text,
        host -> Nullable<Text>,
        sequence -> BigInt,
        previous -> Nullable<BigInt>,
        container -> Text,
        project_id -> Text,
        user_id -> Text,
        kind -> Text,
        arguments -> Nullable<Text>,
        request_id -> Text,
        idempotency_key -> Nullable<Text>,
        epoch -> Nullable<BigInt>,
        deaths -> Integer,
        not_after -> Nullable<Timestamp>,
        outcome -> Nullable<Text>,
        problem -> Nullable<Text>,
        accepted_at -> Timestamp,
        finished_at -> Nullable<Timestamp>,
        key_project -> Nullable<Text>,
        fingerprint -> Nullable<Text>,
        given_up_at -> Nullable<Timestamp>,
        run -> Nullable<BigInt>,
    }
}

diesel::table! {
    runs (id) {
        id -> BigInt,
        container -> Text,
        number -> BigInt,
        raw_started -> Nullable<Text>,
        started_at -> Nullable<Timestamp>,
        finished_at -> Nullable<Timestamp>,
        exit_code -> Nullable<BigInt>,
        reason -> Nullable<Text>,
        message -> Nullable<Text>,
    }
}

diesel::table! {
    projects (id) {
        id -> BigInt,
        project_id -> Text,
        used_containers -> BigInt,
        used_cpu_millis -> BigInt,
        used_memory_mib -> BigInt,
        used_disk_gib -> BigInt,
        quota_containers -> Nullable<BigInt>,
        quota_cpu -> Nullable<BigInt>,
        quota_memory_mib -> Nullable<BigInt>,
        quota_disk_gib -> Nullable<BigInt>,
    }
}

diesel::table! {
    quota_classes (id) {
        id -> BigInt,
        name -> Text,
        quota_containers -> Nullable<BigInt>,
        quota_cpu -> Nullable<BigInt>,
        quota_memory_mib -> Nullable<BigInt>,
        quota_disk_gib -> Nullable<BigInt>,
    }
}

diesel::table! {
    port_claims (id) {
        id -> BigInt,
        host -> Text,
        protocol -> Text,
        host_port -> Integer,
        host_address -> Text,
        container -> Text,
    }
}

diesel::table! {
    images (id) {
        id -> BigInt,
        uuid -> Text,
        project_id -> Text,
        user_id -> Text,
        host -> Text,
        repo -> Text,
        tag -> Text,
        platform -> Text,
        status -> Text,
        status_reason -> Nullable<Text>,
        engine_id -> Nullable<Text>,
        size -> Nullable<BigInt>,
        progress -> Nullable<Text>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    registries (id) {
        id -> BigInt,
        uuid -> Text,
        project_id -> Text,
        user_id -> Text,
        name -> Nullable<Text>,
        domain -> Text,
        username -> Nullable<Text>,
        password -> Nullable<Text>,
        key_id -> Nullable<Text>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    resources (id) {
        id -> BigInt,
        uuid -> Text,
        kind -> Text,
        project_id -> Text,
        user_id -> Text,
        name -> Text,
        host -> Nullable<Text>,
        options -> Text,
        created_at -> Timestamp,
        deleted_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    resource_uses (id) {
        id -> BigInt,
        resource -> Text,
        container -> Text,
    }
}

diesel::table! {
    events (id) {
        id -> BigInt,
        txid -> BigInt,
        project_id -> Text,
        kind -> Text,
        action -> Text,
        subject -> Text,
        host -> Nullable<Text>,
        attributes -> Text,
        at -> Timestamp,
    }
}

diesel::table! {
    host_images (id) {
        id -> BigInt,
        host -> Text,
        image -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(containers, operations, runs);
